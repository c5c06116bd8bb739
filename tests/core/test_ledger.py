"""Each request is counted once, in its row and in its hour, on both databases alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Row, func, select

from core import ledger
from core.db import Database
from core.ledger import Unwritable, write_batch
from core.models import requests, usage_hourly
from core.outcome import is_error, is_fallback
from core.record import RequestRecord

TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
ONE = RequestRecord(
    request_id="req_1",
    started_at=TEN.timestamp() + 61.25,
    user_id="user_1",
    access_key_id="key_1",
    session_id="session",
    agent_id="agent",
    parent_agent_id="parent",
    provider="bedrock",
    fault="plan_exhausted",
    trace="plan:429; bedrock:200",
    model_asked="claude-opus-5",
    model_served="us.anthropic.claude-opus-5",
    bedrock_key_id="bk_1",
    streamed=True,
    status=200,
    input_tokens=1,
    output_tokens=2,
    cache_write_5m_tokens=3,
    cache_write_1h_tokens=4,
    cache_read_tokens=5,
    cost_micros=6,
    list_value_micros=7,
    first_byte_ms=8.5,
    total_ms=9.25,
    overhead_ms=0.125,
    confidence="partial",
)
SUMS = ("requests", "errors", "fallbacks", *(name for name in ledger.AMOUNTS))


def numbered(count: int, first: int = 0) -> list[RequestRecord]:
    return [replace(ONE, request_id=f"req_{number:05d}") for number in range(first, first + count)]


def write(database: Database, *records: RequestRecord) -> int:
    return database.run(lambda connection: write_batch(connection, records))


def hours(database: Database) -> list[Row[Any]]:
    order = (usage_hourly.c.hour, usage_hourly.c.access_key_id, usage_hourly.c.provider, usage_hourly.c.model)
    return list(database.read(lambda connection: connection.execute(select(usage_hourly).order_by(*order)).all()))


def row_count(database: Database) -> int:
    return database.read(lambda connection: connection.execute(select(func.count()).select_from(requests)).scalar_one())


def test_a_row_says_what_its_record_said(database: Database) -> None:
    assert write(database, ONE) == 1
    [row] = database.read(lambda connection: connection.execute(select(requests)).mappings().all())
    said = dict(row) | {"started_at": row["started_at"].timestamp()}
    assert said == {name: getattr(ONE, name) for name in RequestRecord.__slots__}
    assert row["started_at"].tzinfo is UTC and row["streamed"] is True


def test_an_hour_sums_its_requests(database: Database) -> None:
    write(database, *numbered(3))
    write(database, *numbered(2, first=3))
    [hour] = hours(database)
    assert (hour.hour, hour.access_key_id, hour.provider, hour.model, hour.user_id) == (
        TEN,
        "key_1",
        "bedrock",
        "us.anthropic.claude-opus-5",
        "user_1",
    )
    assert [hour._mapping[name] for name in SUMS] == [5, 0, 5, 5, 10, 15, 20, 25, 30, 35]


def test_hours_keys_providers_and_models_are_summed_apart(database: Database) -> None:
    others: list[dict[str, Any]] = [
        {},
        {"started_at": TEN.timestamp() + 3600},
        {"access_key_id": "key_2"},
        {"provider": "plan"},
        {"model_served": ""},
    ]
    write(database, *(replace(ONE, request_id=f"req_{number}", **change) for number, change in enumerate(others)))
    assert [hour.requests for hour in hours(database)] == [1] * 5
    assert {hour.model for hour in hours(database)} == {"us.anthropic.claude-opus-5", "claude-opus-5"}


@pytest.mark.parametrize("again", [1, 2, 5])
def test_a_record_that_comes_again_is_counted_once(database: Database, again: int) -> None:
    for _ in range(again):
        write(database, ONE, ONE, *numbered(2))
    assert (row_count(database), [hour.requests for hour in hours(database)]) == (3, [3])


def test_only_what_was_new_in_a_batch_is_summed(database: Database) -> None:
    write(database, *numbered(3))
    assert write(database, *numbered(5)) == 2
    assert [hour.requests for hour in hours(database)] == [5]


def test_of_two_records_with_one_id_the_first_counts(database: Database) -> None:
    write(database, ONE, replace(ONE, cost_micros=999))
    assert [hour.cost_micros for hour in hours(database)] == [6]


def test_nothing_is_nothing(database: Database) -> None:
    assert write(database) == 0 and hours(database) == []


def test_texts_are_cut_to_their_columns_and_lose_what_a_database_refuses(database: Database) -> None:
    odd = replace(ONE, model_asked="\u20ac" * 300, session_id="a\0b", trace="x" * 9000 + "\0", agent_id="\ud800")
    write(database, odd)
    [row] = database.read(lambda connection: connection.execute(select(requests)).all())
    assert (row.model_asked, row.session_id, len(row.trace), row.agent_id) == ("\u20ac" * 200, "ab", 4000, "?")


@pytest.mark.parametrize(
    "change",
    [
        {"cost_micros": 2**63},
        {"status": 2**31},
        {"total_ms": float("nan")},
        {"total_ms": float("inf")},
        {"total_ms": None},
        {"started_at": 1e15},
        {"started_at": float("nan")},
        {"streamed": "yes"},
        {"input_tokens": 1.5},
        {"input_tokens": True},
        {"fault": None},
        {"trace": ["a"]},
    ],
)
def test_a_record_that_no_database_takes_is_refused_with_its_batch(database: Database, change: dict[str, Any]) -> None:
    with pytest.raises(Unwritable):
        write(database, *numbered(3), replace(ONE, **change))
    assert (row_count(database), hours(database)) == (0, [])


def test_sums_and_rows_come_and_go_together(database: Database) -> None:
    def fails(connection: Any) -> None:
        write_batch(connection, numbered(3))
        raise KeyError

    with pytest.raises(KeyError):
        database.run(fails)
    assert (row_count(database), hours(database)) == (0, [])


def test_the_largest_numbers_keep_every_digit(database: Database) -> None:
    write(database, replace(ONE, cost_micros=2**62 + 1, total_ms=0.1, overhead_ms=3))
    [row] = database.read(lambda connection: connection.execute(select(requests)).all())
    assert (row.cost_micros, row.total_ms, row.overhead_ms) == (2**62 + 1, 0.1, 3.0)


def test_workers_that_write_the_same_records_in_any_order_neither_deadlock_nor_count_twice(database: Database) -> None:
    batch = [replace(record, access_key_id=f"key_{number % 7}") for number, record in enumerate(numbered(120))]
    written: list[int] = []

    def worker(order: Callable[[list[RequestRecord]], list[RequestRecord]]) -> None:
        for begin in range(0, 120, 20):
            written.append(write(database, *order(batch)[begin : begin + 60]))

    threads = [threading.Thread(target=worker, args=(order,)) for order in (list, lambda rows: rows[::-1], sorted_by_key)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (sum(written), row_count(database), sum(hour.requests for hour in hours(database))) == (120, 120, 120)


def sorted_by_key(rows: list[RequestRecord]) -> list[RequestRecord]:
    return sorted(rows, key=lambda record: record.access_key_id)


@pytest.mark.parametrize(
    ("status", "provider", "fault", "counts"),
    [
        (200, "plan", "", False),
        (500, "plan", "", True),
        (529, "", "plan_error", True),
        (429, "plan", "plan_throttled", False),
        (401, "plan", "plan_auth", False),
        (402, "", "budget_spent", True),
        (413, "", "", True),
        (200, "", "", False),
        (200, "bedrock", "stream_broken", True),
        (499, "", "client_gone", False),
        (500, "plan", "client_gone", False),
    ],
)
def test_an_error_is_a_5xx_a_broken_stream_or_an_answer_of_ours(status: int, provider: str, fault: str, counts: bool) -> None:
    assert is_error(status, provider, fault) is counts


@pytest.mark.parametrize(
    ("provider", "fault", "counts"),
    [
        ("bedrock", "plan_exhausted", True),
        ("bedrock", "", False),
        ("bedrock", "client_gone", False),
        ("plan", "plan_throttled", False),
        ("", "plan_error", False),
    ],
)
def test_a_fallback_is_bedrock_in_the_plans_place(provider: str, fault: str, counts: bool) -> None:
    assert is_fallback(provider, fault) is counts
