"""Usage as a page and a spreadsheet show it: a chart of one measure, and rows with all of them.

Pure. Invariant: the chart, the table and the file beside it are of the same figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from admin_app.bars import TONES, Bars, Layer, stacked_bars
from admin_app.exports import Row
from admin_app.usage_operations import Figures, UsageShown
from core.pages import compact
from core.threads import paced
from core.types import ProviderName
from core.usage_series import OTHERS

COLUMNS = (
    "requests",
    "errors",
    "fallbacks",
    "input_tokens",
    "output_tokens",
    "cache_write_tokens",
    "cache_read_tokens",
    "cost_usd",
    "list_value_usd",
)
_FIXED = MappingProxyType({ProviderName.PLAN: 0, ProviderName.BEDROCK: 1, "": "bad"})  # "": nobody answered
WORDS = MappingProxyType(
    {
        "requests": "Requests",
        "cost": "Bedrock cost",
        "value": "List value",
        "tokens": "Tokens",
        "errors": "Errors",
        "fallbacks": "Fallbacks",
    }
)


def chart_of(usage: UsageShown, measure: str, label: Callable[[datetime], str]) -> Bars | None:
    """None where there is nothing to draw."""
    layers = [
        Layer(each.name or "unknown", _tone(each.id, place), [value_of(point, measure) for point in each.figures])
        for place, each in enumerate(paced(usage.series))
    ]
    if not any(any(layer.values) for layer in layers):
        return None
    labels = [label(begin) for begin in usage.begins]
    tips = [
        _tip(text, [(each.name, each.values[number]) for each in layers], measure) for number, text in enumerate(paced(labels))
    ]
    title = f"{WORDS[measure]} by {usage.group}, {labels[0]} to {labels[-1]}; the tables have the figures"
    return stacked_bars(title, labels, layers, tips)


def value_of(figures: Figures | None, measure: str) -> float:
    if figures is None:
        return 0.0
    if measure == "tokens":
        return float(all_tokens(figures))
    name = {"cost": "cost_usd", "value": "list_value_usd"}.get(measure, measure)
    return float(getattr(figures, name))


def all_tokens(figures: Figures) -> int:
    return figures.input_tokens + figures.output_tokens + figures.cache_write_tokens + figures.cache_read_tokens


def said(value: float, measure: str) -> str:
    """A value of the chart's scale, for people."""
    if measure not in ("cost", "value"):
        return compact(round(value))
    return f"${compact(round(value))}" if value >= 10 or value == int(value) else f"${value:.2f}"


def buckets_of(usage: UsageShown, label: Callable[[datetime], str]) -> list[tuple[str, Figures]]:
    """The sums of each bucket that has any, the latest first."""
    sums = [_added([each.figures[number] for each in usage.series]) for number in paced(range(len(usage.begins)))]
    named = [(label(begin), each) for begin, each in zip(usage.begins, sums, strict=True) if each is not None]
    return named[::-1]


def rows_of(usage: UsageShown) -> Iterator[Row]:
    """A row for each bucket and group in which anything was: what the chart stacks."""
    for number, begin in enumerate(usage.begins):
        at = begin.strftime("%Y-%m-%dT%H:%M:%SZ")
        for each in usage.series:
            if (figures := each.figures[number]) is not None:
                yield {"begin": at, usage.group: each.id, "name": each.name, **_cells(figures)}


def heading_of(usage: UsageShown) -> tuple[str, ...]:
    return ("begin", usage.group, "name", *COLUMNS)


def _tone(identity: str, place: int) -> str:
    """A provider keeps its colour on every chart."""
    if identity == OTHERS:
        return "tone-others"
    return f"tone-{_FIXED.get(identity, place % TONES)}"


def _cells(figures: Figures) -> Row:
    return {
        name: f"{value:f}" if name.endswith("_usd") else value
        for name in COLUMNS
        if (value := getattr(figures, name)) is not None
    }


def _added(points: Sequence[Figures | None]) -> Figures | None:
    there = [each for each in points if each is not None]
    if not there:
        return None
    sums: dict[str, Any] = {name: sum(getattr(each, name) for each in there) for name in COLUMNS}
    return Figures(**sums)


def _tip(label: str, values: Sequence[tuple[str, float]], measure: str) -> str:
    there = [f"{name} {said(value, measure)}" for name, value in values if value]
    whole = said(sum(value for _, value in values), measure)
    return f"{label}: {whole}" + (f" ({', '.join(there)})" if len(there) > 1 else "")
