"""A plan's windows as a page shows them: as last seen, and how they filled over the last days.

Pure. Invariant: the chart and the table beside it are of the same figures, the highest share of each hour and of each day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from admin_app.charts import Drawing, percent_lines
from core.plan_window_rows import PlanSeen
from core.plan_windows import OVERAGE, PlanWindow
from core.threads import paced

LOOKED_BACK = timedelta(days=7)
_MOST_LINES = 4
_WORDS = MappingProxyType({"5h": "5 hours", "7d": "7 days", OVERAGE: "beyond the plan"})


@dataclass(frozen=True, slots=True)
class WindowView:
    """`percent` and `resets_at` None: not told. `is_over`: it was reset since. `is_used_up`: nothing is served from it now."""

    words: str
    is_used_up: bool
    percent: int | None
    resets_at: datetime | None
    is_over: bool


@dataclass(frozen=True, slots=True)
class PlanView:
    """`days`: a day, and the highest per cent of each of `names` in it (None where nothing was seen)."""

    access_key_id: str
    seen_at: datetime
    status: str
    windows: tuple[WindowView, ...]
    names: tuple[str, ...]
    days: tuple[tuple[datetime, tuple[int | None, ...]], ...]
    chart: Drawing | None

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """The table's, but for the day: heading, and whether it holds numbers."""
        return [(name, True) for name in self.names]


def plan_view(seen: PlanSeen | None, now: datetime) -> PlanView | None:
    if seen is None:
        return None
    names = tuple(sorted({window for _, window, _ in seen.history}, key=lambda name: (name == OVERAGE, name)))[:_MOST_LINES]
    shares = {name: [(at, share * 100) for at, window, share in paced(seen.history) if window == name] for name in names}
    lines = {words_of(name): _highest(shares[name], _two_hours) for name in names}
    by_day = [dict(_highest(line, _day)) for line in lines.values()]
    days = sorted({day for each in by_day for day in each})
    title = f"How much of the plan's windows was used, {now - LOOKED_BACK:%d %B} to {now:%d %B}; the table has the figures"
    return PlanView(
        access_key_id=seen.access_key_id,
        seen_at=datetime.fromtimestamp(seen.windows.seen_at, UTC),
        status=seen.windows.status,
        windows=tuple(_window(window, now) for window in seen.windows.windows),
        names=tuple(lines),
        days=tuple((day, tuple(_whole(each.get(day)) for each in by_day)) for day in days),
        chart=percent_lines(title, lines, now - LOOKED_BACK, now) if any(len(each) > 1 for each in lines.values()) else None,
    )


def words_of(name: str) -> str:
    """7d_opus -> 7 days, opus"""
    span, _, family = name.partition("_")
    return f"{_WORDS.get(span, span)}, {family}" if family else _WORDS.get(span, span)


def _window(window: PlanWindow, now: datetime) -> WindowView:
    resets_at = None if window.resets_at is None else datetime.fromtimestamp(window.resets_at, UTC)
    percent = _whole(None if window.utilization is None else window.utilization * 100)
    is_over = resets_at is not None and resets_at <= now
    is_used_up = window.status == "rejected" and not is_over and window.name != OVERAGE
    return WindowView(words_of(window.name), is_used_up, percent, resets_at, is_over)


def _highest(points: Iterable[tuple[datetime, float]], span: Callable[[datetime], datetime]) -> list[tuple[datetime, float]]:
    found: dict[datetime, float] = {}
    for at, value in paced(points):
        begin = span(at)
        found[begin] = max(found.get(begin, 0.0), value)
    return sorted(found.items())


def _two_hours(moment: datetime) -> datetime:
    """Five pixels of the chart."""
    return moment.replace(hour=moment.hour // 2 * 2, minute=0, second=0, microsecond=0)


def _day(moment: datetime) -> datetime:
    return _two_hours(moment).replace(hour=0)


def _whole(percent: float | None) -> int | None:
    return None if percent is None else int(percent)
