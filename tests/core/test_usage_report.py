"""Whatever the bucket, the zone and the grouping: the sums are those of the hours, each hour once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.db import Database
from core.ledger import write_batch
from core.record import RequestRecord
from core.usage_report import BUCKETS, GROUPS, buckets, usage_between

TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
ONE = RequestRecord("req_1", TEN.timestamp(), "user_1", "key_1", provider="plan", status=200, input_tokens=5, model_asked="m")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


def begins(since: str, until: str, bucket: str, zone: str = "UTC") -> list[str]:
    first, last = datetime.fromisoformat(since + "+00:00"), datetime.fromisoformat(until + "+00:00")
    return [f"{begin:%m-%d %H}" for begin, _ in buckets(first, last, bucket, ZoneInfo(zone))]


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        ("hour", ["01-31 22", "01-31 23", "02-01 00"]),
        ("day", ["01-31 22", "02-01 00"]),
        ("week", ["01-31 22"]),
        ("month", ["01-31 22", "02-01 00"]),
    ],
)
def test_a_range_is_cut_at_the_beginnings_of_buckets(bucket: str, expected: list[str]) -> None:
    assert begins("2026-01-31T22:30", "2026-02-01T01:00", bucket) == expected


def test_weeks_begin_on_mondays() -> None:
    assert begins("2026-11-18T00:00", "2026-12-01T00:00", "week") == ["11-18 00", "11-23 00", "11-30 00"]


def test_days_begin_at_local_midnight_also_when_clocks_change() -> None:
    autumn = begins("2026-10-24T22:00", "2026-10-27T00:00", "day", "Europe/Berlin")
    spring = begins("2026-03-28T23:00", "2026-03-31T00:00", "day", "Europe/Berlin")
    assert autumn == ["10-24 22", "10-25 23", "10-26 23"]
    assert spring == ["03-28 23", "03-29 22", "03-30 22"]


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    st.integers(1, 2000),
    st.sampled_from(BUCKETS),
    st.sampled_from(ZONES),
)
def test_buckets_follow_each_other_without_gap_or_overlap(start: datetime, hours: int, bucket: str, zone: str) -> None:
    since = start.replace(tzinfo=UTC, minute=0, second=0, microsecond=0)
    cut = list(buckets(since, since + timedelta(hours=hours), bucket, ZoneInfo(zone)))
    assert (cut[0][0], cut[-1][1]) == (since, since + timedelta(hours=hours))
    assert all(before[1] == after[0] for before, after in pairwise(cut)) and all(begin < end for begin, end in cut)


@pytest.fixture
def filled(database: Database) -> Database:
    several = [
        replace(ONE, request_id=f"req_{n}", user_id=f"user_{n % 2}", access_key_id=f"key_{n % 4}", model_asked=f"m{n % 3}")
        for n in range(12)
    ]
    database.run(lambda connection: write_batch(connection, [*several, replace(ONE, started_at=TEN.timestamp() + 3600)]))
    return database


@pytest.mark.parametrize("groups", [(), ("user_id",), ("access_key_id", "model"), GROUPS])
def test_every_grouping_sums_up_to_the_same(filled: Database, groups: tuple[str, ...]) -> None:
    lines = filled.read(lambda c: usage_between(c, TEN, TEN + timedelta(hours=1), groups))
    assert (sum(line.sums["requests"] for line in lines), sum(line.sums["input_tokens"] for line in lines)) == (12, 60)
    assert len(lines) == {0: 1, 1: 2, 2: 12, 4: 12}[len(groups)]


def test_a_range_without_requests_has_no_lines(filled: Database) -> None:
    assert filled.read(lambda c: usage_between(c, TEN - timedelta(days=1), TEN, ())) == []
