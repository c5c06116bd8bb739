"""A budget's month: which one a moment belongs to, where it begins and ends, in the organisation's time zone.

Pure. Invariant: months touch without gap or overlap, also where the clock is put forward or back on their edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

WARN_AT = (80, 100)  # per cent of a budget


@dataclass(frozen=True, slots=True)
class Month:
    """`name` is `2026-11`; it holds `begins` (aware UTC) and all that follows, up to but not with `ends`."""

    name: str
    begins: datetime
    ends: datetime


def month_of(moment: datetime, zone: ZoneInfo) -> Month:
    """The month that `moment` (aware) falls into over there."""
    local = moment.astimezone(zone)
    next_year, next_month = (local.year + 1, 1) if local.month == 12 else (local.year, local.month + 1)
    return Month(month_name(moment, zone), _midnight(local.year, local.month, zone), _midnight(next_year, next_month, zone))


def month_name(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m")


def percent_used(spent_micros: int, budget_micros: int) -> int:
    """Whole per cent, rounded down; a budget of nothing is used up."""
    return 100 if budget_micros <= 0 else spent_micros * 100 // budget_micros


def dollars(micros: int) -> str:
    """$12.34, exact to the cent, rounded up so that what is spent never looks less."""
    cents = -(-micros // 10_000)
    return f"${cents // 100:,}.{cents % 100:02d}"


def _midnight(year: int, month: int, zone: ZoneInfo) -> datetime:
    """The first moment of the month's first day. Where the clock skips midnight, the moment it skips from."""
    return datetime(year, month, 1, tzinfo=zone).astimezone(UTC)
