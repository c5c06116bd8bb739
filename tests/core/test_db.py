"""A transaction is all or nothing on both databases, and a database that cannot serve is always DatabaseAway."""

from __future__ import annotations

import socket
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError

from core.db import Database, DatabaseAway, open_database, upsert
from core.models import revisions
from core.settings import BadSettings, Settings
from tests.core.patched import in_patched_process

ROW = {"id": 2, "grants": 1, "circuits": 1, "prices": 1}


def opened(url: str, pool_size: int = 1) -> Database:
    return open_database(Settings(database_url=url), pool_size=pool_size)


def ids(connection: Connection) -> list[int]:
    return sorted(connection.execute(select(revisions.c.id)).scalars())


def add_row(connection: Connection) -> None:
    connection.execute(revisions.insert(), [ROW])


def fail_after_writing(connection: Connection) -> None:
    add_row(connection)
    raise LookupError("changed my mind")


def test_what_work_wrote_is_there_when_it_returns(database: Database) -> None:
    database.run(add_row)

    assert database.read(ids) == [1, 2]


def test_what_work_wrote_is_gone_when_it_raises_and_its_error_passes(database: Database) -> None:
    with pytest.raises(LookupError, match="changed my mind"):
        database.run(fail_after_writing)

    assert database.read(ids) == [1]


def test_a_refused_row_is_not_a_database_that_is_away(database: Database) -> None:
    database.run(add_row)

    with pytest.raises(IntegrityError):
        database.run(add_row)


def test_upsert_adds_to_some_columns_and_replaces_others(database: Database) -> None:
    rows = [{"id": number, "grants": 5, "circuits": 7, "prices": 9} for number in (1, 2)]

    database.run(lambda c: upsert(c, revisions, rows, ["id"], adding=["grants"]))

    columns = [revisions.c[name] for name in rows[0]]
    found = database.read(lambda c: c.execute(select(*columns).order_by(revisions.c.id)).all())
    assert [tuple(row) for row in found] == [(1, 6, 7, 9), (2, 5, 7, 9)]


def test_a_row_locked_too_long_is_a_database_that_is_away(database_url: str) -> None:
    limit = "timeout=0.05" if database_url.startswith("sqlite") else "options=-c lock_timeout=50ms"
    holder, other = opened(database_url), opened(f"{database_url}{'&' if '?' in database_url else '?'}{limit}")
    change = text("UPDATE revisions SET prices = 2")

    def hold(connection: Connection) -> None:
        connection.execute(change)
        with pytest.raises(DatabaseAway):
            other.run(lambda c: c.execute(change))

    holder.run(hold)
    assert other.run(lambda c: c.execute(change)).rowcount == 1
    holder.close()
    other.close()


def test_reading_is_not_held_up_by_a_writer(database_url: str) -> None:
    writer, reader = opened(database_url), opened(database_url)

    def write_and_look(connection: Connection) -> list[int]:
        add_row(connection)
        return reader.read(ids)

    assert writer.run(write_and_look) == [1]
    assert reader.read(ids) == [1, 2]
    writer.close()
    reader.close()


def test_a_new_database_is_waited_for_while_another_process_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database = opened(f"sqlite:///{path}")
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(database.run, lambda c: c.execute(text("PRAGMA journal_mode")).scalar())
        is_early = bool(wait([asked], timeout=0.5).done)
        other.execute("COMMIT")
    other.close()
    database.close()

    assert (is_early, asked.result()) == (False, "wal")


def test_nobody_listening_is_a_database_that_is_away() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(DatabaseAway):
            opened(f"postgresql://nobody@127.0.0.1:{unused.getsockname()[1]}/x").read(ids)


def test_a_folder_that_cannot_be_made_is_a_database_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DatabaseAway, match="cannot be opened"):
        opened(f"sqlite:///{tmp_path}/file/x.sqlite").read(ids)


def test_a_file_that_is_no_database_is_a_database_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"this was a database once" * 100)

    with pytest.raises(DatabaseAway, match="file is not a database"):
        opened(f"sqlite:///{tmp_path}/x.sqlite").read(ids)


@pytest.mark.parametrize("url", ["mysql://host/name", "nonsense"])
def test_an_address_of_another_kind_is_a_bad_setting(url: str) -> None:
    with pytest.raises(BadSettings, match="PROXY_DATABASE_URL"):
        opened(url)


def test_sqlite_is_private_durable_and_checks_references(tmp_path: Path) -> None:
    database = open_database(Settings(data_dir=tmp_path / "var"), pool_size=1)
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")

    values = database.read(lambda c: [c.execute(text(f"PRAGMA {name}")).scalar() for name in pragmas])

    assert values == ["wal", 1, 1, 5000]
    assert stat.S_IMODE((tmp_path / "var" / "proxy.sqlite").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700
    database.close()


WAITING_WRITER = """
import sqlite3
from core.db import open_database
from core.settings import Settings
from sqlalchemy import text
database = open_database(Settings(database_url="sqlite:///" + sys.argv[1]), pool_size=1)
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
writer = gevent.spawn(database.run, lambda c: c.execute(text("UPDATE revisions SET grants = 9")).rowcount)
gevent.sleep(0.05)
waited = not writer.ready()
other.execute("COMMIT")
print(waited, writer.get())
try:
    database.run(lambda c: 1 / 0)
except ZeroDivisionError:
    print("raised")
database.close()
"""


def test_a_waiting_sqlite_writer_does_not_freeze_the_hub(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(sqlite_template.read_bytes())

    assert in_patched_process(WAITING_WRITER, str(path)) == "True 1\nraised"
    assert sqlite3.connect(path).execute("SELECT grants FROM revisions").fetchall() == [(9,)]


def test_another_process_that_ends_leaves_the_log_of_two_databases_in_this_one_alone(
    sqlite_template: Path, tmp_path: Path
) -> None:
    """Closing any other descriptor of the file would drop this process's locks, and the last one out removes the log."""
    path = tmp_path / "shared.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    first, second = (open_database(Settings(database_url=f"sqlite:///{path}"), pool_size=1) for _ in range(2))
    first.run(lambda connection: connection.execute(text("UPDATE revisions SET grants = 7")))
    second.read(lambda connection: connection.execute(text("SELECT 1")).all())
    visit = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('SELECT grants FROM revisions').fetchall(); c.close()"

    subprocess.run([sys.executable, "-c", visit], check=True)

    assert Path(f"{path}-wal").exists()
    first.close()
    second.close()
