"""Stacked bars: what is drawn is in proportion, bounded and safe."""

from __future__ import annotations

import re

import pytest

from admin_app.bars import Layer, stacked_bars

HEIGHT = re.compile(r"v-([0-9.]+)h")


def heights(svg: str) -> list[float]:
    return [float(found) for found in HEIGHT.findall(svg)]


def test_layers_stand_upon_each_other_in_proportion() -> None:
    chart = stacked_bars("t", ["a", "b"], [Layer("x", "tone-0", [1, 2]), Layer("y", "tone-1", [3, 0])], ["", ""])
    assert (chart.top, heights(chart.drawing.svg)) == (4, [250.0, 500.0, 750.0])
    assert 'd="M0.75 750.0h8.5v-750.0h-8.5z"' in chart.drawing.svg


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (0.004, 0.004), (7, 8), (9, 10), (10, 10), (101, 120), (1999, 2000), (2_000_001, 3_000_000)]
)
def test_the_scale_ends_at_a_number_that_reads_well(most: float, top: float) -> None:
    assert stacked_bars("t", ["a"], [Layer("x", "tone-0", [most])], [""]).top == pytest.approx(top)


def test_names_are_no_markup() -> None:
    svg = stacked_bars('"><b>', ["a"], [Layer("x", "tone-0", [1])], ["</title><script>"]).drawing.svg
    assert ("<b>" in svg, "<script" in svg, "style=" in svg) == (False, False, False)


def test_a_year_of_days_stays_small() -> None:
    days, layers = [f"day {number}" for number in range(366)], [Layer(f"x{n}", f"tone-{n}", [1.5] * 366) for n in range(7)]
    chart = stacked_bars("t", days, layers, days)
    assert len(chart.drawing.svg) < 130_000
    assert (chart.ticks[0], chart.ticks[-1], len(chart.ticks)) == ("day 0", "day 365", 5)
