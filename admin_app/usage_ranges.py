"""Which time a report is about, and into what it is cut: ranges by name or from and until, in the reader's time zone.

Pure. Invariants: a range has at most 400 buckets (`_LONGEST`), whatever is asked for; days begin at midnight over there, also
when clocks change; what is out of the hourly sums begins and ends with an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from admin_app.operation import BadFields
from core.usage_report import buckets

RANGES: Mapping[str, str] = MappingProxyType(
    {
        "3h": "last 3 hours",
        "today": "today",
        "24h": "last 24 hours",
        "7d": "last 7 days",
        "30d": "last 30 days",
        "month": "this month",
        "custom": "from … until",
    }
)
_MOMENT = timedelta(microseconds=1)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_SPANS = MappingProxyType({"3h": 3 * _HOUR, "24h": _DAY})
_LONGEST = MappingProxyType(
    {"minute": 6 * _HOUR, "hour": 14 * _DAY, "day": 400 * _DAY, "week": 2000 * _DAY, "month": 4000 * _DAY}
)
BUCKETS = tuple(_LONGEST)
_FITTING = ((3 * _HOUR, "minute"), (3 * _DAY, "hour"), (100 * _DAY, "day"), (500 * _DAY, "week"))
_LABELS = MappingProxyType(
    {"minute": "%H:%M", "hour": "%d %b %H:%M", "day": "%a %d %b", "week": "week of %d %b", "month": "%B %Y"}
)


@dataclass(frozen=True, slots=True)
class Cut:
    """`begins` are aware UTC: where buckets begin. The last one ends at `until`."""

    since: datetime
    until: datetime
    bucket: str
    begins: tuple[datetime, ...]
    zone: ZoneInfo

    def label(self, begin: datetime) -> str:
        """A bucket's name, in the reader's time."""
        is_short = self.bucket == "hour" and self.until - self.since < 6 * _DAY
        return begin.astimezone(self.zone).strftime("%a %H:%M" if is_short else _LABELS[self.bucket])


def zone_of(name: str) -> ZoneInfo:
    """Raises BadFields."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadFields({"zone": "is no time zone such as Europe/Berlin"}) from None


def range_of(
    name: str, zone: ZoneInfo, now: datetime, since: datetime | None, until: datetime | None
) -> tuple[datetime, datetime]:
    """Aware UTC; what goes on now is in a range by name. Raises BadFields."""
    if name != "custom":
        if since is not None or until is not None:
            raise BadFields({"since" if since is not None else "until": 'counts only with the range "custom"'})
        return _begin(name, zone, now).astimezone(UTC), now.astimezone(UTC) + _MOMENT
    if since is None:
        raise BadFields({"since": "say from when"})
    first, last = since.astimezone(UTC), min(until or now + _MOMENT, now + _DAY).astimezone(UTC)
    if first >= last:
        raise BadFields({"since": "must be before the end, and not to come"})
    return first, last


def cut(since: datetime, until: datetime, bucket: str, zone: ZoneInfo) -> Cut:
    """`bucket` empty: the one that fits. Raises BadFields where there would be too many."""
    name = bucket or next((name for most, name in _FITTING if until - since <= most + _MOMENT), "month")
    if until - since > _LONGEST[name]:
        longest = _LONGEST[name]
        words = f"{longest.days} days" if longest.days else f"{longest // _HOUR} hours"
        raise BadFields({"bucket": f"must be longer: by the {name} at most {words} can be shown"})
    if name == "minute":
        first, last = since.replace(second=0, microsecond=0), _after(until, timedelta(minutes=1))
        count = (last - first) // timedelta(minutes=1)
        return Cut(first, last, name, tuple(first + timedelta(minutes=each) for each in range(count)), zone)
    last = _after(until, _HOUR)
    begins = tuple(begin for begin, _ in buckets(since, last, name, zone))
    return Cut(begins[0], last, name, begins, zone)


def _begin(name: str, zone: ZoneInfo, now: datetime) -> datetime:
    if name in _SPANS:
        return now - _SPANS[name]
    today = now.astimezone(zone).date()
    first = today.replace(day=1) if name == "month" else today - timedelta(days={"7d": 6, "30d": 29}.get(name, 0))
    return datetime(first.year, first.month, first.day, tzinfo=zone)


def _after(moment: datetime, step: timedelta) -> datetime:
    """The next whole step, or the moment itself where it is one."""
    over = (moment - datetime(2000, 1, 1, tzinfo=UTC)) % step
    return moment if not over else moment - over + step
