"""Lines over time as SVG that stands in a page.

Pure, without a library (decision 26). Knows no noun. Invariants: a drawing has no style, no script and no address of its own
(style.css has its colours), so that it passes the pages' policy; it is an image with a name, and whoever shows it puts the
figures beside it as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

_WIDTH, _HEIGHT = 420, 160
_LEFT, _TOP, _RIGHT, _BOTTOM = 46, 8, 398, 132  # of what is inside the axes
_MARKS = (0, 50, 100)

Points = Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """An SVG element, safe to be put into a page as it is: a template need not say so."""

    svg: str

    def __html__(self) -> str:
        return self.svg


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a moment and a share lie in the drawing."""

    since: datetime
    until: datetime
    most: float

    def x(self, at: datetime) -> float:
        return _LEFT + (at - self.since) / (self.until - self.since) * (_RIGHT - _LEFT)

    def y(self, value: float) -> float:
        return _BOTTOM - value / self.most * (_BOTTOM - _TOP)


def percent_lines(title: str, lines: Mapping[str, Points], since: datetime, until: datetime) -> Drawing:
    """Per cent over days, a line for each name, in the colours `series serie-0`, `serie-1` and so on of the style sheet."""
    scale = _Scale(since, until, max([100.0, *(value for points in lines.values() for _, value in points)]))
    shares = "".join(_share(scale, mark) for mark in _MARKS)
    days = "".join(_day(scale, day) for day in _midnights(since, until))
    drawn = "".join(
        f'<g class="series serie-{number}"><title>{escape(name)}</title><path class="line" d="{_path(scale, points)}"/></g>'
        for number, (name, points) in enumerate(lines.items())
    )
    axes = f'<g class="axis y">{shares}</g><g class="axis x">{days}</g>'
    said = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" class="chart" role="img" aria-label="{escape(title)}"'
    return Drawing(f'<svg xmlns="http://www.w3.org/2000/svg" {said}>{axes}{drawn}</svg>')


def _share(scale: _Scale, mark: int) -> str:
    y = scale.y(mark)
    kind = "guide" if mark else "line"
    return f'<path class="{kind}" d="M{_LEFT} {y:.1f}H{_RIGHT}"/><text x="{_LEFT - 5}" y="{y + 3.5:.1f}">{mark} %</text>'


def _day(scale: _Scale, day: datetime) -> str:
    x = scale.x(day)
    return f'<path class="guide" d="M{x:.1f} {_TOP}V{_BOTTOM}"/><text x="{x:.1f}" y="{_BOTTOM + 17}">{day:%d %b}</text>'


def _path(scale: _Scale, points: Points) -> str:
    return " ".join(
        f"{'L' if number else 'M'}{scale.x(at):.1f} {scale.y(value):.1f}" for number, (at, value) in enumerate(points)
    )


def _midnights(since: datetime, until: datetime) -> list[datetime]:
    day = since.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [day + timedelta(days=number) for number in range((until - day).days + 1)]
    return [each for each in days if each >= since]
