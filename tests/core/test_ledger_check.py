"""The check sees every disagreement between records and sums, and none where there is none."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from core.db import Database
from core.kept import request_records
from core.ledger import write_batch
from core.ledger_check import MOST_SHOWN, Waiting, compare, look_into_spools
from core.models import requests, usage_hourly
from core.record import RequestRecord
from core.retention import purge
from core.spool import open_spool

TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE = RequestRecord(
    "req_1", TEN.timestamp() + 61.25, "user_1", "key_1", provider="plan", status=200, input_tokens=5, cost_micros=3
)
ENDS = tuple(
    product(
        ("plan", "bedrock", ""),
        ("", "plan_exhausted", "planning", "client_gone", "stream_broken", "bedrock_auth"),
        (0, 200, 399, 400, 429, 499, 500, 529),
    )
)


def every_end() -> list[RequestRecord]:
    return [
        replace(ONE, request_id=f"req_{n:05d}", provider=provider, fault=fault, status=status, model_asked=f"m{n % 3}")
        for n, (provider, fault, status) in enumerate(ENDS)
    ]


@pytest.fixture
def filled(database: Database) -> Database:
    database.run(lambda connection: write_batch(connection, every_end()))
    later = [replace(ONE, request_id=f"req_later_{n}", started_at=ONE.started_at + 3600 * n) for n in range(1, 4)]
    database.run(lambda connection: write_batch(connection, later))
    return database


def test_records_of_every_end_agree_with_their_sums(filled: Database) -> None:
    verdict = filled.read(compare)
    assert (verdict.total, verdict.differences, verdict.records, verdict.checked_from) == (0, (), 147, None)


def test_a_record_that_is_gone_is_seen(filled: Database) -> None:
    filled.run(lambda c: c.execute(delete(requests).where(requests.c.request_id == "req_later_1")))
    [difference] = filled.read(compare).differences
    assert (difference.hour, difference.access_key_id, difference.provider) == (TEN + HOUR, "key_1", "plan")
    assert difference.off_by == {"requests": -1, "input_tokens": -5, "cost_micros": -3}


@pytest.mark.parametrize("column", ["requests", "errors", "fallbacks", "cache_read_tokens", "cost_micros"])
def test_a_sum_that_is_off_by_one_is_seen(filled: Database, column: str) -> None:
    one = usage_hourly.c.hour == TEN + HOUR
    filled.run(lambda c: c.execute(update(usage_hourly).where(one).values({column: usage_hourly.c[column] + 1})))
    assert [difference.off_by for difference in filled.read(compare).differences] == [{column: -1}]


def test_sums_without_any_record_are_seen_and_only_the_first_are_listed(database: Database) -> None:
    many = [replace(ONE, request_id=f"req_{n:05d}", access_key_id=f"key_{n:03d}") for n in range(MOST_SHOWN + 20)]
    database.run(lambda connection: write_batch(connection, many))
    database.run(lambda connection: connection.execute(delete(requests)))
    verdict = database.read(compare)
    assert (verdict.total, len(verdict.differences)) == (MOST_SHOWN + 20, MOST_SHOWN)


def test_only_the_range_asked_for_is_compared(filled: Database) -> None:
    filled.run(lambda c: c.execute(delete(requests).where(requests.c.request_id == "req_later_2")))
    assert filled.read(lambda c: compare(c, TEN, TEN + 2 * HOUR)).total == 0
    assert filled.read(lambda c: compare(c, TEN + 2 * HOUR, TEN + 3 * HOUR)).total == 1
    assert filled.read(lambda c: compare(c, TEN + 3 * HOUR)).records == 1


def test_hours_whose_records_were_purged_are_left_alone(filled: Database) -> None:
    purge(filled, request_records(30), TEN + 2 * HOUR + timedelta(days=30, minutes=20), lambda _: None)
    verdict = filled.read(compare)
    assert (verdict.total, verdict.records, verdict.checked_from) == (0, 2, TEN + 2 * HOUR)


def test_a_spool_folder_is_looked_into_without_disturbing_who_writes(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, "living")
    for text in (b"a", b"b", b"c"):
        spool.append(text)
    spool.cut(spool.read_batch(1)[1])
    os.write(spool._fd, b"00000000 damaged\n1234")
    (tmp_path / "dead-letters.jsonl").write_text("{}\n{}\n")
    assert look_into_spools(tmp_path) == Waiting(spools=1, records=2, damaged=1, dead=2)
    assert spool.backlog.records == 2


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert look_into_spools(tmp_path / "nowhere") == Waiting()
