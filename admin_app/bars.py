"""Stacked bars over time, as SVG that stretches to whatever room a page has; what is written beside them is the page's text.

Pure, without a library: one takes 20 to 100 times as long for stacked bars, in which no stream of this worker moves
(docs/performance.md). Knows no noun. Invariants: a drawing has no style, no script and no address of its own; one path for a
line of the legend, so that its size grows with the buckets alone; colours are the style sheet's (`tone-0` and so on).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, log10

from admin_app.charts import Drawing

_WIDE, _HIGH = 10, 1000  # of a bucket, and of the whole
_GAP = 1.5
_TICKS = 5
TONES = 7


@dataclass(frozen=True, slots=True)
class Layer:
    """A line of the legend: a value for each bucket, and the style sheet's name of its colour."""

    name: str
    tone: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Bars:
    """`top` is what the upper edge stands for; `ticks` are some buckets' labels, spread evenly; `legend` (name, tone)."""

    drawing: Drawing
    top: float
    ticks: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]


def stacked_bars(title: str, labels: Sequence[str], layers: Sequence[Layer], tips: Sequence[str]) -> Bars:
    """`layers` from below; `tips`: what is said of a bucket when one points at it."""
    sums = [sum(layer.values[number] for layer in layers) for number in range(len(labels))]
    top = _round_up(max(sums, default=0.0))
    below, paths, legend = [0.0] * len(labels), list[str](), list[tuple[str, str]]()
    for layer in layers:
        paths.append(f'<path class="{layer.tone}" d="{_bars(layer.values, below, top)}"/>')
        legend.append((layer.name, layer.tone))
        below = [low + value for low, value in zip(below, layer.values, strict=True)]
    spots = "".join(
        f'<rect class="spot" x="{number * _WIDE}" y="0" width="{_WIDE}" height="{_HIGH}"><title>{escape(tip)}</title></rect>'
        for number, tip in enumerate(tips)
    )
    box = f'viewBox="0 0 {len(labels) * _WIDE} {_HIGH}" preserveAspectRatio="none"'
    said = f'role="img" aria-label="{escape(title)}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" {box} {said}>{_guides(len(labels))}{"".join(paths)}{spots}</svg>'
    return Bars(Drawing(svg), top, _spread(labels), tuple(legend))


def _bars(values: Sequence[float], below: Sequence[float], top: float) -> str:
    drawn = []
    for number, (value, low) in enumerate(zip(values, below, strict=True)):
        if value > 0:
            height = value / top * _HIGH
            foot = _HIGH - low / top * _HIGH
            drawn.append(f"M{number * _WIDE + _GAP / 2:g} {foot:.1f}h{_WIDE - _GAP:g}v{-height:.1f}h{_GAP - _WIDE:g}z")
    return "".join(drawn)


def _guides(count: int) -> str:
    lines = "".join(f"M0 {_HIGH * share:g}H{count * _WIDE}" for share in (0, 0.5, 1))
    return f'<path class="guides" d="{lines}"/>'


def _round_up(most: float) -> float:
    """The next 1, 2, 5 (and so on) times a power of ten: a scale that reads well, and whose half does."""
    if most <= 0:
        return 1.0
    unit = 10.0 ** (ceil(log10(most)) - 1)
    return next((step * unit for step in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8) if step * unit >= most), 10 * unit)


def _spread(labels: Sequence[str]) -> tuple[str, ...]:
    if len(labels) <= _TICKS:
        return tuple(labels)
    return tuple(labels[round(number * (len(labels) - 1) / (_TICKS - 1))] for number in range(_TICKS))
