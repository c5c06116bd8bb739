"""The ledger's commands as a person and as a script meet them."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete

from core.db import Database, open_database
from core.ledger import write_batch
from core.models import requests
from core.record import RequestRecord
from tests import machine
from tests.admin_app.test_cli import NOW, Terminal
from tests.core.test_ledger_import import line
from tests.installations import with_tables

ONE = RequestRecord("req_1", NOW.timestamp() - 60, "user_1", "key_1", provider="bedrock", status=200, cost_micros=14_396)


@pytest.fixture
def terminal(tmp_path: Path, sqlite_template: Path) -> Terminal:
    terminal = Terminal(tmp_path / "var")
    with_tables(terminal.settings, sqlite_template)
    return terminal


@pytest.fixture
def database(terminal: Terminal) -> Iterator[Database]:
    opened = open_database(terminal.settings, pool_size=1)
    records = [
        replace(ONE, request_id=f"req_{n}", started_at=ONE.started_at - n * 86_400, model_asked=f"m{n % 2}") for n in range(4)
    ]
    opened.run(lambda connection: write_batch(connection, records))
    yield opened
    opened.close()


def test_rows_are_imported_from_a_file_or_from_standard_input(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(line() + b"\n{}\n")
    first = terminal(f"ledger import {tmp_path / 'log'} --json")
    second = terminal("ledger import", stdin=line().decode() + "\n")
    assert (first.code, first.document["written"], first.document["other"]) == (0, 1, 1)
    assert (second.code, second.out.splitlines()[0]) == (0, "0 rows written; known already: 1.")


def test_bad_lines_are_shown_and_the_exit_status_tells(terminal: Terminal) -> None:
    finished = terminal("ledger import -", stdin=line().decode()[:-5])
    assert (finished.code, "1 line could not be imported" in finished.out, "line 1: cut off" in finished.out) == (1, True, True)


def test_a_file_that_is_not_there_is_a_refusal(terminal: Terminal) -> None:
    assert terminal("ledger import nowhere.log").code == 1


def test_a_ledger_that_agrees_is_verified(terminal: Terminal, database: Database) -> None:
    finished = terminal("ledger verify --json")
    assert (finished.code, finished.document["ok"], finished.document["records"]) == (0, True, 4)
    assert "4 records compared with their sums: 0 differences." in terminal("ledger verify").out


def test_a_ledger_that_does_not_agree_exits_with_one_and_says_where(terminal: Terminal, database: Database) -> None:
    database.run(lambda c: c.execute(delete(requests).where(requests.c.request_id == "req_0")))
    finished = terminal("ledger verify --from 2026-05-01 --to 2026-05-02T00:00")
    assert finished.code == 1
    assert "2026-05-01 11h key_1 bedrock m0: records less sums: requests -1, cost_micros -14396" in finished.out
    assert terminal("ledger verify --to 2026-05-01").code == 0


def test_records_that_were_set_aside_are_a_difference(terminal: Terminal) -> None:
    terminal.settings.spool_dir.mkdir()
    (terminal.settings.spool_dir / "dead-letters.jsonl").write_text("{}\n")
    assert (terminal("ledger verify").code, terminal("ledger verify --json").document["spool"]["dead"]) == (1, 1)


def test_usage_is_exported_as_csv(terminal: Terminal, database: Database) -> None:
    finished = terminal("usage export --from 2026-04-28 --to 2026-05-02 --bucket day --by model")
    rows = list(csv.DictReader(io.StringIO(finished.out)))
    assert [(row["begin"], row["model"], row["requests"], row["cost_micros"]) for row in rows] == [
        ("2026-04-28T00:00:00+00:00", "m1", "1", "14396"),
        ("2026-04-29T00:00:00+00:00", "m0", "1", "14396"),
        ("2026-04-30T00:00:00+00:00", "m1", "1", "14396"),
        ("2026-05-01T00:00:00+00:00", "m0", "1", "14396"),
    ]


def test_usage_is_this_months_unless_a_range_is_given(terminal: Terminal, database: Database) -> None:
    [only] = terminal("usage export --bucket month --json").document
    assert (only["begin"], only["user_id"], only["access_key_id"], only["requests"]) == (
        "2026-05-01T00:00:00+00:00",
        "user_1",
        "key_1",
        1,
    )


def test_a_spreadsheet_cannot_take_a_models_name_for_a_formula(terminal: Terminal, database: Database) -> None:
    evil = replace(ONE, request_id="req_evil", model_asked="=HYPERLINK(1)")
    database.run(lambda connection: write_batch(connection, [evil]))
    assert ",'=HYPERLINK(1)," in terminal("usage export --by user,model").out


@pytest.mark.parametrize("wrong", ["--by model,prompt", "--timezone Nowhere/Land", "--from yesterday", "--bucket year"])
def test_a_wrong_question_is_a_wrong_call(terminal: Terminal, wrong: str) -> None:
    assert terminal(f"usage export {wrong}").code == 2


def test_purging_deletes_what_was_kept_long_enough(terminal: Terminal, database: Database) -> None:
    old = replace(ONE, request_id="req_old", started_at=(NOW - timedelta(days=31)).timestamp())
    database.run(lambda connection: write_batch(connection, [old]))
    assert terminal("purge").out == "Deleted 1 request record older than 30 days.\n"
    assert terminal("purge --days 2 --json").document.items() >= {"purged": 2, "days": 2}.items()
    assert terminal("ledger verify").code == 0


@pytest.mark.parametrize("command", ["ledger verify", "usage export"])
def test_a_span_that_ends_before_it_begins_is_refused(terminal: Terminal, command: str) -> None:
    finished = terminal(f"{command} --from 2026-02-01 --to 2026-01-01")

    assert (finished.code, finished.out, finished.err) == (1, "", "--from must be before --to\n")


def test_hours_before_the_ledger_began_are_not_asked_for_one_by_one(terminal: Terminal, database: Database) -> None:
    began = time.process_time()
    rows = list(csv.DictReader(io.StringIO(terminal("usage export --from 2000-01-01 --to 2050-01-01 --bucket day").out)))

    took_s = time.process_time() - began
    assert [row["begin"] for row in rows] == [f"2026-{day}T00:00:00+00:00" for day in ("04-28", "04-29", "04-30", "05-01")]
    assert took_s < 5 * machine.slowness()  # of 18,000 questions 20 s


@pytest.mark.parametrize("line", ["ledger import {}/none", "ledger import {}", "ledger verify --log {}/none"])
def test_a_file_that_cannot_be_read_is_named_first(terminal: Terminal, tmp_path: Path, line: str) -> None:
    finished = terminal(line.format(tmp_path))

    assert finished.code == 1
    assert finished.err.startswith(f"{tmp_path}")
    assert "Errno" not in finished.err


@pytest.mark.parametrize(
    "moment", ["0001-01-01", "0001-01-01T00:00+14:00", "1999-12-31", "9999-12-31T23:59-12:00", "10000-01-01"]
)
def test_a_moment_that_nobody_can_mean_is_a_wrong_call(terminal: Terminal, moment: str) -> None:
    assert terminal(f"ledger verify --from {moment}").code == 2


@pytest.mark.parametrize("days", ["0", "1.5", "x", "-1", "99999"])
def test_days_that_are_none_are_a_wrong_call_that_says_so(terminal: Terminal, days: str) -> None:
    finished = terminal(f"purge --days={days}")

    assert (finished.code, "must be a whole number of days above 0" in finished.err) == (2, True)
