"""Ledger against log: what one side lacks, and what differs, is named; what may rightly be missing is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, update

from core import log_check
from core.db import Database
from core.kept import request_records
from core.ledger import write_batch
from core.log_check import Compared, Span, compare_with_log
from core.models import requests
from core.record import WORKER_LOST, RequestRecord
from core.retention import purge

AT = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RECORDS = tuple(
    RequestRecord(
        f"req_{n}", (AT + n * MINUTE).timestamp(), "user_1", "key_1", provider="bedrock", status=200, trace="a; b",
        cost_micros=1000 + n, total_ms=2_000.25,
    )
    for n in range(10)
)  # fmt: skip


def line(record: RequestRecord) -> bytes:
    told = orjson.loads(record.to_json())
    context = {**told, "log": "access", "trace": record.trace.split("; "), "circuit": ""}
    return orjson.dumps({"request_id": context.pop("request_id"), "message": "request", "context": context}) + b"\n"


LOG = tuple(map(line, RECORDS))


def none_waits(_: Collection[str]) -> set[str]:
    return set()


def compared(database: Database, lines: Iterable[bytes] = LOG, span: Span | None = None) -> Compared:
    return compare_with_log(database, lines, span or Span(), none_waits)


def change(database: Database, request_id: str, **values: Any) -> None:
    database.run(lambda c: c.execute(update(requests).where(requests.c.request_id == request_id).values(**values)))


def lose(database: Database, *request_ids: str) -> None:
    database.run(lambda c: c.execute(delete(requests).where(requests.c.request_id.in_(request_ids))))


@pytest.fixture
def ledger(database: Database) -> Database:
    database.run(lambda connection: write_batch(connection, RECORDS))
    return database


def test_a_ledger_and_a_log_of_the_same_requests_agree(ledger: Database) -> None:
    found = compared(ledger, [b"Traceback\n", *LOG, *LOG[:3]])
    assert (found.is_right, found.matched, found.other) == (True, 10, 1)


def test_what_the_ledger_lacks_is_named_with_its_cost(ledger: Database) -> None:
    lose(ledger, "req_2", "req_5")
    found = compared(ledger)
    assert (found.is_right, found.only_in_log.shown, found.only_in_log.amounts) == (
        False,
        ["req_2", "req_5"],
        {"cost_micros": 2007},
    )


def test_what_the_log_lacks_is_named_with_its_cost(ledger: Database) -> None:
    found = compared(ledger, [*LOG[:4], *LOG[5:]])
    assert (found.is_right, found.only_in_ledger.shown, found.only_in_ledger.amounts) == (False, ["req_4"], {"cost_micros": 1004})


def test_a_figure_that_differs_is_named_with_by_how_much(ledger: Database) -> None:
    change(ledger, "req_7", cost_micros=2000, status=500)
    found = compared(ledger)
    assert (found.is_right, found.differing.shown, found.differing.amounts) == (
        False,
        ["req_7: status, cost_micros"],
        {"cost_micros": 993},
    )


def test_requests_that_ended_before_the_first_line_or_after_the_last_are_not_expected(ledger: Database) -> None:
    assert compared(ledger, LOG[3:7]).is_right
    assert compared(ledger, []).is_right


def test_a_long_request_that_began_before_the_first_line_is_expected(ledger: Database) -> None:
    long = replace(RECORDS[0], request_id="req_long", started_at=(AT - 60 * MINUTE).timestamp(), total_ms=3_780_000.0)
    ledger.run(lambda connection: write_batch(connection, [long]))
    assert compared(ledger).only_in_ledger.shown == ["req_long"]


def test_a_span_says_what_the_log_must_have(ledger: Database) -> None:
    found = compared(ledger, LOG[3:7], Span(AT + 2 * MINUTE, AT + 6 * MINUTE))
    assert (found.matched, found.outside, found.only_in_ledger.shown) == (3, 1, ["req_2"])


def test_an_answer_whose_worker_was_killed_has_no_line(ledger: Database) -> None:
    change(ledger, "req_4", error_type=WORKER_LOST)
    found = compared(ledger, [*LOG[:4], *LOG[5:]])
    assert (found.is_right, found.worker_lost) == (True, 1)


def test_hours_whose_records_were_purged_have_no_rows(ledger: Database) -> None:
    later = replace(RECORDS[0], request_id="req_late", started_at=(AT + 60 * MINUTE).timestamp())
    ledger.run(lambda connection: write_batch(connection, [later]))
    purge(ledger, request_records(30), AT + timedelta(days=30, hours=1), lambda _: None)
    found = compared(ledger, [*LOG, line(later)])
    assert (found.is_right, found.purged, found.matched) == (True, 10, 1)


def test_what_waits_in_a_spool_is_not_missing(ledger: Database) -> None:
    lose(ledger, "req_2", "req_5")
    found = compare_with_log(ledger, LOG, Span(), lambda wanted: {"req_5"} & set(wanted))
    assert (found.waiting, found.only_in_log.shown) == (1, ["req_2"])


def test_what_reaches_the_ledger_meanwhile_is_not_missing(ledger: Database) -> None:
    lose(ledger, "req_2")

    def flush(_: Collection[str]) -> set[str]:
        ledger.run(lambda connection: write_batch(connection, RECORDS))
        return set()

    assert compare_with_log(ledger, LOG, Span(), flush).is_right


def test_a_line_that_cannot_be_read_is_no_agreement(ledger: Database) -> None:
    broken = line(replace(RECORDS[3], status="200"))  # type: ignore[arg-type]
    found = compared(ledger, [*LOG[:3], *LOG[4:], LOG[3][:-5], broken, LOG[3]])
    assert (found.is_right, found.bad, found.matched) == (False, 2, 10)


def test_bounds_change_nothing(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    [monkeypatch.setattr(log_check, *each) for each in (("_PAGE", 2), ("_DIGESTS", 3), ("_MOST_HELD", 1), ("MOST_SHOWN", 1))]
    lose(ledger, "req_2", "req_5", "req_6")
    found = compared(ledger, [*LOG[:3], *LOG[4:8], *LOG[9:]])
    assert (found.matched, found.only_in_log.requests, found.only_in_ledger.requests) == (5, 3, 2)
    assert (len(found.only_in_log.shown), found.only_in_ledger.shown) == (1, ["req_3"])
