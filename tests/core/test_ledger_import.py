"""Log lines make the ledger whole again: once, exactly, and only what is a ledger row."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest
from sqlalchemy import delete, select

from core.db import Database
from core.kept import request_records
from core.ledger import write_all
from core.ledger_import import Imported, import_lines
from core.log import AccessLog, LineWriter
from core.log_lines import NoRecord, record_of
from core.models import requests, usage_hourly
from core.pricing import load_prices
from core.record import RequestRecord
from core.retention import purge
from core.settings import Settings
from core.spend_models import spend_monthly
from core.spool import Spool
from proxy_app.recorder import Recorder
from tests.proxy_app.recording import ON_BEDROCK, call, outcome

BERLIN = ZoneInfo("Europe/Berlin")
AT = datetime.fromtimestamp(1.8e9, UTC)
BOOKS = (requests, usage_hourly, spend_monthly)
WHOLE = {
    "timestamp": "2027-01-15T08:00:00.000Z",
    "level": "INFO",
    "request_id": "req_1",
    "message": "request",
    "context": {"log": "access", "user_id": "u", "access_key_id": "k", "started_at": 1.8e9, "trace": ["a", "b"]},
}


def line(**context: object) -> bytes:
    return orjson.dumps(WHOLE | {"context": {**WHOLE["context"], **context}})  # type: ignore[dict-item]


@pytest.fixture
def log(tmp_path: Path, database: Database) -> Path:
    """What a worker logs of thirty requests, half of them on Bedrock, and of one that was nobody's; all are in the ledger."""
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    spool = Spool(tmp_path / "spool", "worker")
    clocks = (lambda: 120.0, lambda: 1.8e9)
    recorder = Recorder(spool, database, load_prices(), AccessLog(LineWriter(fd)), Settings(budget_timezone=BERLIN.key), clocks)
    for number in range(30):
        recorder.finish(call(number), outcome(**ON_BEDROCK if number % 2 else {}))
    recorder.refuse("req_nobody", 403, "permission_error", "key ak_000000")
    recorder.close()
    os.close(fd)
    return path


def everything(database: Database) -> tuple[list[object], ...]:
    """Records, sums, and what was spent of budgets."""

    def work(connection: object) -> tuple[list[object], ...]:
        return tuple(list(map(tuple, connection.execute(select(t).order_by(*t.primary_key)).all())) for t in BOOKS)  # type: ignore[attr-defined]

    return database.read(work)


def empty(database: Database) -> None:
    database.run(lambda connection: [connection.execute(delete(table)) for table in BOOKS])


def test_a_lost_ledger_comes_back_from_the_log_to_the_last_column(log: Path, database: Database) -> None:
    before = everything(database)
    empty(database)
    found = import_lines(database, log.read_bytes().splitlines(), BERLIN)
    assert everything(database) == before and len(before[0]) == 30
    assert found == Imported(written=30, turned_away=1)


def test_budgets_after_an_import_are_those_before_the_loss_at_a_months_edge_over_there(database: Database) -> None:
    """Half past midnight of 1 November in Berlin is still October in UTC; an hour before is October in both."""
    edge = datetime(2026, 10, 31, 23, 30, tzinfo=UTC).timestamp()
    spent = {"provider": "bedrock", "status": 200, "cost_micros": 700}
    lines = [line(started_at=edge + 1, **spent), line(started_at=edge - 3600, **spent).replace(b"req_1", b"req_2")]
    write_all(database, [record_of(each) for each in lines], [], BERLIN)
    before = everything(database)
    empty(database)
    import_lines(database, lines, BERLIN)
    assert everything(database) == before
    assert before[2] == [("2026-10", "k", "u", 700), ("2026-11", "k", "u", 700)]


def test_what_the_ledger_knows_changes_nothing(log: Path, database: Database) -> None:
    before = everything(database)
    database.run(lambda c: c.execute(delete(requests).where(requests.c.request_id == "nobody")))
    found = import_lines(database, [*log.read_bytes().splitlines()] * 2, BERLIN)
    assert (found.written, found.known, everything(database)) == (0, 60, before)


def test_hours_whose_records_were_purged_are_not_counted_again(log: Path, database: Database) -> None:
    purge(database, request_records(30), AT + timedelta(days=40), lambda _: None)
    before = everything(database)
    found = import_lines(database, log.read_bytes().splitlines(), BERLIN)
    assert (found.purged, found.written, everything(database), before[0]) == (30, 0, before, [])


def test_what_a_log_service_puts_before_a_line_is_ignored() -> None:
    record = record_of(b"2027-01-15T08:00:00Z task/abc " + line())
    assert record == RequestRecord("req_1", 1.8e9, "u", "k", trace="a; b")


@pytest.mark.parametrize("other", [b"", b"Traceback", b"{", b"[1]", b'{"context": 7}', b'{"context": {"log": "app"}}', b"\xff"])
def test_a_line_that_is_no_requests_is_skipped(other: bytes) -> None:
    with pytest.raises(NoRecord) as skipped:
        record_of(other)
    assert not skipped.value.turned_away


@pytest.mark.parametrize("bad", [line()[:-9], line(cut=True), line(trace=7), line(started_at=None) + b"x"])
def test_a_requests_line_that_does_not_tell_all_is_bad(bad: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut|trace"):
        record_of(bad)


def test_bad_lines_are_counted_the_first_are_shown_and_the_others_are_imported(database: Database) -> None:
    poison = [line(cost_micros=2**63), line(status="200"), orjson.dumps({**orjson.loads(line()), "request_id": 7})]
    found = import_lines(database, [line()[:-9], *poison, line()] + [line(cut=True)] * 30, BERLIN)
    assert (found.written + found.known, found.bad, len(found.problems)) == (1, 34, 20)
    assert found.problems[0].startswith("line 1: cut off")


def test_more_than_a_batch_is_imported(database: Database) -> None:
    lines = (orjson.dumps({**orjson.loads(line()), "request_id": f"req_{number}"}) for number in range(1201))
    assert import_lines(database, lines, BERLIN).written == 1201


def test_a_request_that_is_in_the_log_and_in_a_spool_is_counted_once(database: Database, log: Path, tmp_path: Path) -> None:
    empty(database)
    import_lines(database, log.read_bytes().splitlines(), BERLIN)
    before = everything(database)
    spool = Spool(tmp_path / "again", "worker")
    spool.append(replace(record_of(log.read_bytes().splitlines()[3])).to_json())
    Recorder(spool, database, load_prices(), AccessLog(LineWriter(1)), Settings(budget_timezone=BERLIN.key)).close()
    assert everything(database) == before
