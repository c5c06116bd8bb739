"""`ledger import` and `purge` are killed in the middle, and done again: nothing counts twice and nothing is lost.

Neither can reach its end before that, however late the kill comes: the log's last line does not come, and a row in the middle
takes for ever to be deleted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import func, select

from core.db import Database, open_database
from core.ledger import write_all
from core.models import requests
from core.record import RequestRecord
from core.settings import Settings
from sandbox.product import ROOT
from tests.core.test_ledger_import import line
from tests.installations import with_tables
from tests.live.leaver import eventually

MANY = 8_000
OLD = RequestRecord("req_0", 1.6e9, "user_1", "key_1", provider="plan", status=200)
NEVER_ENDS = (
    f"CREATE TRIGGER never_ends BEFORE DELETE ON requests WHEN old.request_id = 'req_{MANY // 2}' "
    "BEGIN SELECT count(*) FROM requests AS a, requests AS b, requests AS c, requests AS d; END"
)


@pytest.fixture
def database(tmp_path: Path, sqlite_template: Path) -> Iterator[Database]:
    with_tables(Settings(data_dir=tmp_path / "var"), sqlite_template)
    opened = open_database(Settings(data_dir=tmp_path / "var"), pool_size=1)
    yield opened
    opened.close()


def rows(database: Database) -> int:
    return int(database.read(lambda connection: connection.execute(select(func.count()).select_from(requests)).scalar_one()))


def command(folder: Path, text: str, given: IO[Any] | None = None) -> subprocess.Popen[str]:
    environ = {**os.environ, "PROXY_DATA_DIR": str(folder / "var")}
    arguments = [sys.executable, "-m", "admin_app", *text.split()]
    written = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(arguments, cwd=ROOT, env=environ, stdin=given, text=True, **written)


@contextmanager
def all_but_the_last_line(log: Path) -> Iterator[IO[Any] | None]:
    """A pipe that stays open behind them."""
    (most := log.with_name("most")).write_bytes(log.read_bytes().rpartition(b"\n")[0] + b"\n")
    with subprocess.Popen(["cat", str(most), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as feeder:
        yield feeder.stdout
        feeder.kill()


def test_an_import_that_was_killed_is_finished_by_the_next(database: Database, tmp_path: Path) -> None:
    whole = line().replace(b'"req_1"', b'"req_%d"')
    (tmp_path / "log").write_bytes(b"\n".join(whole % number for number in range(MANY)))
    with all_but_the_last_line(tmp_path / "log") as most:
        first = command(tmp_path, "ledger import -", most)
        eventually(lambda: rows(database) > 0)
        first.kill()
        first.communicate()
    found = rows(database)

    said, _ = (second := command(tmp_path, f"ledger import {tmp_path / 'log'}")).communicate()
    assert (second.returncode, 0 < found < MANY, rows(database)) == (0, True, MANY), said
    assert f"{MANY - found:,} rows written; known already: {found:,}." in said
    assert command(tmp_path, "ledger verify").wait(60) == 0


def test_a_purge_that_was_killed_is_finished_by_the_next_and_the_sums_stay(database: Database, tmp_path: Path) -> None:
    write_all(database, [replace(OLD, request_id=f"req_{number}", started_at=1.6e9 + number) for number in range(MANY)], [])
    database.run(lambda connection: connection.exec_driver_sql(NEVER_ENDS))
    first = command(tmp_path, "purge")
    eventually(lambda: rows(database) < MANY)
    first.kill()
    first.communicate()
    database.run(lambda connection: connection.exec_driver_sql("DROP TRIGGER never_ends"))
    found = rows(database)

    said, _ = command(tmp_path, "purge").communicate()
    assert 0 < found < MANY
    assert (rows(database), f"Deleted {found:,} request records" in said) == (0, True)
    assert command(tmp_path, "ledger verify").wait(60) == 0
