"""A budget's month begins at midnight over there, whatever the clocks do that night."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.budget import dollars, month_of, percent_used

ZONES = ("UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "Asia/Amman", "Pacific/Apia")


def utc(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("zone", "name", "begins", "ends"),
    [
        ("UTC", "2026-11", utc(2026, 11, 1), utc(2026, 12, 1)),
        ("Europe/Berlin", "2026-11", utc(2026, 10, 31, 23), utc(2026, 11, 30, 23)),
        ("America/Los_Angeles", "2026-11", utc(2026, 11, 1, 7), utc(2026, 12, 1, 8)),  # the clock goes back on 1 November
        ("Asia/Kolkata", "2026-11", utc(2026, 10, 31, 18, 30), utc(2026, 11, 30, 18, 30)),
    ],
)
def test_a_month_begins_at_its_own_midnight(zone: str, name: str, begins: datetime, ends: datetime) -> None:
    month = month_of(utc(2026, 11, 15), ZoneInfo(zone))
    assert (month.name, month.begins, month.ends) == (name, begins, ends)


def test_where_the_clock_goes_forward_at_the_months_first_midnight_nothing_is_lost() -> None:
    amman = ZoneInfo("Asia/Amman")  # on 1 April 2016 the clock went from 00:00 to 01:00
    march, april = month_of(utc(2016, 3, 31, 21, 59), amman), month_of(utc(2016, 3, 31, 22), amman)
    assert (march.name, april.name, march.ends) == ("2016-03", "2016-04", utc(2016, 3, 31, 22))


@given(st.integers(0, 2_524_608_000), st.sampled_from(ZONES))
def test_every_moment_is_in_its_month_and_months_touch(seconds: int, zone: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    month = month_of(moment, ZoneInfo(zone))
    assert month.begins <= moment < month.ends
    assert month_of(month.ends, ZoneInfo(zone)).begins == month.ends
    assert month_of(month.ends - timedelta(seconds=1), ZoneInfo(zone)) == month


@pytest.mark.parametrize(("micros", "shown"), [(0, "$0.00"), (1, "$0.01"), (12_345_678, "$12.35"), (1_234_560_000, "$1,234.56")])
def test_what_is_spent_never_looks_less(micros: int, shown: str) -> None:
    assert dollars(micros) == shown


@pytest.mark.parametrize(("spent", "budget", "percent"), [(799, 1000, 79), (800, 1000, 80), (1500, 1000, 150), (0, 0, 100)])
def test_per_cent_are_whole(spent: int, budget: int, percent: int) -> None:
    assert percent_used(spent, budget) == percent
