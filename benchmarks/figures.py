"""Numbers out of samples, and what a part of the benchmark reports. Pure.

A figure that several rounds gave is the median of the rounds with the range beside it: on a shared machine one round means
nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of rounds, and the least and the greatest of them."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Figure | None:
        return cls(statistics.median(rounds), min(rounds), max(rounds)) if rounds else None

    def __str__(self) -> str:
        if self.least == self.greatest:
            return short(self.median)
        return f"{short(self.median)} [{short(self.least)}..{short(self.greatest)}]"


Cell = str | float | Figure | None


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure of SPEC section 17. `at_least`: more is better."""

    what: str
    value: float
    must: float
    aim: float
    unit: str
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self._reaches(self.aim):
            return "aim reached"
        return "bar held, aim missed" if self._reaches(self.must) else "BAR MISSED"

    def _reaches(self, limit: float) -> bool:
        return self.value >= limit if self.at_least else self.value <= limit

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        limits = f"must {sign} {short(self.must)}, aim {sign} {short(self.aim)} {self.unit}"
        return f"{self.what}: {short(self.value)} {self.unit} ({limits}): {self.verdict}"


@dataclass(frozen=True, slots=True)
class Section:
    """One table. `faults` counts answers of the measured targets that were not as they should be: then no figure counts."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    bars: tuple[Bar, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    foreign_percent: float | None = None

    def as_json(self) -> dict[str, object]:
        rows = [dict(zip(self.columns, (_json_cell(cell) for cell in row), strict=True)) for row in self.rows]
        bars = [asdict(bar) | {"verdict": bar.verdict} for bar in self.bars]
        rest = {"bars": bars, "notes": self.notes, "faults": self.faults, "foreign_percent": self.foreign_percent}
        return {"title": self.title, "rows": rows, **rest}


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; nan of nothing."""
    if not samples:
        return float("nan")
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def short(value: float) -> str:
    """Three digits that count, and no exponent."""
    if value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _json_cell(cell: Cell) -> object:
    if isinstance(cell, Figure):
        return asdict(cell)
    return None if cell != cell else cell
