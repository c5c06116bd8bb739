"""The ledger beside what Bedrock has counted: what agrees, what drifts, and what is nobody's of ours."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from core.bill import Reconciled, reconcile
from core.bill_watch import check_bill
from core.cloudwatch import METRICS, MetricsUnavailable, Sums
from core.db import Database
from core.kept import request_records
from core.ledger import write_batch
from core.models import bedrock_keys, users
from core.record import RequestRecord
from core.retention import purge

DAY = datetime(2026, 11, 20, tzinfo=UTC)
OPUS, SONNET = "us.anthropic.claude-opus-5-5", "global.anthropic.claude-sonnet-5-5"
ONE = RequestRecord(
    "req_0",
    (DAY + timedelta(hours=9)).timestamp(),
    "user_1",
    "key_1",
    provider="bedrock",
    status=200,
    model_asked="claude-opus-5-5",
    model_served=OPUS,
    bedrock_key_id="bk_east",
    input_tokens=10_000,
    output_tokens=2_000,
    cache_write_5m_tokens=300,
    cache_write_1h_tokens=400,
    cache_read_tokens=50_000,
)


@dataclass
class Recorded:
    """CloudWatch as it was: by region."""

    sums: dict[str, Sums] = field(default_factory=dict)
    asked: list[tuple[str, set[str]]] = field(default_factory=list)

    def __call__(self, region: str, since: datetime, until: datetime, models: Collection[str]) -> Sums:
        self.asked.append((region, set(models)))
        return self.sums.get(region, {})


def figures(invocations: int, *tokens: int) -> dict[str, int]:
    return dict(zip(METRICS, (invocations, *tokens), strict=True))


HUNDRED = figures(100, 1_000_000, 200_000, 5_000_000, 70_000)


@pytest.fixture
def books(database: Database) -> Database:
    """A hundred requests with two keys of one region, and two keys more elsewhere that did nothing."""
    now = {"created_at": DAY, "updated_at": DAY}
    keys = {"bk_east": "us-east-1", "bk_too": "us-east-1", "bk_west": "us-west-2"}
    rows = [
        {"id": key, "user_id": "user_1", "region": region, "residency": "global", "sealed": b"", "health": "healthy", **now}
        for key, region in keys.items()
    ]
    user = {"id": "user_1", "name": "ann", "email": "", "note": "", "strategy": "plan_first", "status": "active", **now}
    records = [replace(ONE, request_id=f"req_{n}", bedrock_key_id="bk_too" if n % 4 == 0 else "bk_east") for n in range(100)]

    def write(connection: Any) -> None:
        connection.execute(insert(users), [user])
        connection.execute(insert(bedrock_keys), rows)
        write_batch(connection, records)

    database.run(write)
    return database


def compared(books: Database, sums: Sums, days: int = 1) -> Reconciled:
    return reconcile(books, DAY, DAY + timedelta(days=days), Recorded({"us-east-1": sums}))


def test_what_agrees_to_the_token_has_no_drift(books: Database) -> None:
    [line] = compared(books, {(DAY.date(), OPUS): HUNDRED}).lines
    assert (line.day, line.region, line.model) == (date(2026, 11, 20), "us-east-1", OPUS)
    assert (line.ledger, line.cloudwatch, line.drift, line.drifted) == (HUNDRED, HUNDRED, {}, {})


def test_the_split_by_key_is_the_ledgers_and_adds_up(books: Database) -> None:
    [line] = compared(books, {(DAY.date(), OPUS): HUNDRED}).lines
    assert {key: each["invocations"] for key, each in line.keys.items()} == {"bk_east": 75, "bk_too": 25}


@pytest.mark.parametrize(
    ("input_tokens", "drifted"), [(1_020_000, []), (1_021_000, ["input_tokens"]), (980_000, []), (979_000, ["input_tokens"])]
)
def test_two_per_cent_are_let_pass_and_more_is_drift_either_way(books: Database, input_tokens: int, drifted: list[str]) -> None:
    [line] = compared(books, {(DAY.date(), OPUS): {**HUNDRED, "input_tokens": input_tokens}}).lines
    assert [*line.drifted] == drifted


def test_a_few_tests_of_keys_are_no_drift(books: Database) -> None:
    [line] = compared(books, {(DAY.date(), OPUS): {**HUNDRED, "invocations": 105}}).lines
    assert (line.drift, line.drifted) == ({"invocations": 0.047619}, {})


def test_what_bedrock_counted_and_the_ledger_has_not_is_drift(books: Database) -> None:
    found = compared(books, {(DAY.date(), OPUS): HUNDRED, (DAY.date(), SONNET): HUNDRED})
    assert [(line.model, line.drift["output_tokens"]) for line in found.drifted] == [(SONNET, 1.0)]


def test_what_the_ledger_has_and_bedrock_did_not_count_is_drift(books: Database) -> None:
    assert [line.drift["output_tokens"] for line in compared(books, {}).drifted] == [-1.0]


def test_every_region_of_a_key_is_asked_for_the_models_that_were_used_there(books: Database) -> None:
    recorded = Recorded()
    reconcile(books, DAY, DAY + timedelta(days=1), recorded)
    assert recorded.asked == [("us-east-1", {OPUS}), ("us-west-2", set())]


def test_days_are_told_apart_and_are_whole(books: Database) -> None:
    tomorrow = DAY + timedelta(days=1)
    sums = {(DAY.date(), OPUS): HUNDRED, (tomorrow.date(), OPUS): HUNDRED}
    found = reconcile(books, DAY + timedelta(hours=5), tomorrow + timedelta(hours=1), Recorded({"us-east-1": sums}))
    assert (found.since, found.until) == (DAY, tomorrow + timedelta(days=1))
    assert [(line.day, line.ledger["invocations"]) for line in found.lines] == [(DAY.date(), 100), (tomorrow.date(), 0)]


def test_a_profile_is_the_same_by_its_arn_and_by_its_id(books: Database) -> None:
    arn = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc"
    books.run(lambda c: write_batch(c, [replace(ONE, request_id="req_arn", model_served=arn)]))
    profile = figures(1, 10_000, 2_000, 50_000, 700)
    found = compared(books, {(DAY.date(), OPUS): HUNDRED, (DAY.date(), "abc"): profile})
    assert [line.drift for line in found.lines] == [{}, {}]


def test_days_whose_records_were_purged_are_left_out(books: Database) -> None:
    purge(books, request_records(1), DAY + timedelta(days=2, hours=6), lambda _: None)
    found = compared(books, {(DAY.date(), OPUS): HUNDRED}, days=4)
    assert found.since == DAY + timedelta(days=2)


def test_the_daily_look_warns_of_each_drift(books: Database, caplog: pytest.LogCaptureFixture) -> None:
    sums = {(DAY.date(), OPUS): {**HUNDRED, "output_tokens": 250_000}}
    with caplog.at_level(logging.INFO):
        check_bill(books, DAY + timedelta(days=1, hours=3), Recorded({"us-east-1": sums}))
    warned, told = caplog.records
    assert (warned.levelname, warned.message) == ("WARNING", "the ledger and Bedrock's metrics differ")
    assert warned.context["drift_percent"] == {"output_tokens": 20.0}  # type: ignore[attr-defined]
    assert told.context == {"day": "2026-11-20", "compared": 1, "differ": 1}  # type: ignore[attr-defined]


def test_a_cloudwatch_that_cannot_be_asked_is_told_and_harms_nothing(books: Database, caplog: pytest.LogCaptureFixture) -> None:
    def away(*_: Any) -> Sums:
        raise MetricsUnavailable("CloudWatch in us-east-1 cannot be asked (AccessDenied)")

    check_bill(books, DAY + timedelta(days=1), away)
    assert "AccessDenied" in caplog.text
