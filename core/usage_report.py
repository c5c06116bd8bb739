"""Usage over time: sums of a range, by bucket, and within it by user, key, model and provider as asked.

Read-only, out of the hourly sums, so that years cost what days do and retention takes nothing away. Knows no page and no
command. Invariants: a query is of one bucket, over a range of an index; the sums of any grouping are the same; a bucket
begins at the UTC hour in which it begins in its time zone (in zones half an hour off, at that hour's beginning).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from core.ledger import SUMMED
from core.models import usage_hourly

BUCKETS = ("hour", "day", "week", "month")
GROUPS = ("user_id", "access_key_id", "model", "provider")


@dataclass(frozen=True, slots=True)
class UsageLine:
    """`group` are the values asked for, in that order; `sums` has every summed column of the hourly sums."""

    group: tuple[str, ...]
    sums: dict[str, int]


def buckets(since: datetime, until: datetime, bucket: str, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The UTC ranges that `since` to `until` (aware) is cut into; first and last may be parts of a bucket."""
    begin, end = _hour(since), _hour(until)
    while begin < end:
        following = min(end, max(_following(begin, bucket, zone), begin + timedelta(hours=1)))
        yield begin, following
        begin = following


def hours_used(connection: Connection) -> tuple[datetime, datetime] | None:
    """The oldest and the newest hour of which there are sums."""
    oldest, newest = connection.execute(select(func.min(usage_hourly.c.hour), func.max(usage_hourly.c.hour))).one()
    return None if oldest is None else (oldest, newest)


def usage_between(connection: Connection, since: datetime, until: datetime, groups: Sequence[str] = ()) -> list[UsageLine]:
    """Sums of the UTC hours from `since` to before `until`, by `groups` (of GROUPS), in their order."""
    columns = [usage_hourly.c[name] for name in groups]
    sums = [func.coalesce(func.sum(usage_hourly.c[name]), 0) for name in SUMMED]
    query = select(*columns, *sums).where(usage_hourly.c.hour >= since, usage_hourly.c.hour < until)
    rows = connection.execute(query.group_by(*columns).order_by(*columns)).all()
    width = len(columns)
    lines = [UsageLine(tuple(row[:width]), dict(zip(SUMMED, map(int, row[width:]), strict=True))) for row in rows]
    return [line for line in lines if line.sums["requests"]]


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _following(begin: datetime, bucket: str, zone: ZoneInfo) -> datetime:
    """When the bucket that holds `begin` is over. Local midnights, so that a day has 23 or 25 hours when clocks change."""
    if bucket == "hour":
        return begin + timedelta(hours=1)
    first = (begin + timedelta(minutes=59)).astimezone(zone).date()  # a zone half an hour off: where most of the hour is
    if bucket == "day":
        first += timedelta(days=1)
    elif bucket == "week":
        first += timedelta(days=7 - first.weekday())
    else:
        first = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    return _hour(datetime(first.year, first.month, first.day, tzinfo=zone))
