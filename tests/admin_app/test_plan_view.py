"""A plan as pages show it: windows in words, a chart that passes the pages' policy, the same figures as a table."""

from __future__ import annotations

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from admin_app.charts import percent_lines
from admin_app.plan_view import LOOKED_BACK, plan_view, words_of
from core.plan_window_rows import PlanSeen
from core.plan_windows import PlanWindow, PlanWindows
from tests.core.office import NOW

HOUR = timedelta(hours=1)
FIVE = PlanWindow("5h", "rejected", 1.02, (NOW + HOUR).timestamp())
SEVEN = PlanWindow("7d", "rejected", 0.4, (NOW - HOUR).timestamp())
OVERAGE = PlanWindow("overage", "rejected")


def seen(*history: tuple[timedelta, str, float]) -> PlanSeen:
    windows = PlanWindows(NOW.timestamp(), "rejected", "five_hour", False, (FIVE, SEVEN, OVERAGE))
    return PlanSeen("key_1", windows, tuple((NOW - ago, name, share) for ago, name, share in history))


def test_of_a_plan_that_told_nothing_there_is_nothing() -> None:
    assert plan_view(None, NOW) is None


def test_a_window_is_used_up_only_until_it_is_reset() -> None:
    view = plan_view(seen(), NOW)

    assert view is not None
    assert [(each.words, each.percent, each.is_used_up, each.is_over) for each in view.windows] == [
        ("5 hours", 102, True, False),
        ("7 days", 40, False, True),
        ("beyond the plan", None, False, False),
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [("5h", "5 hours"), ("7d", "7 days"), ("7d_opus", "7 days, opus"), ("30d", "30d"), ("overage", "beyond the plan")],
)
def test_windows_are_named_for_people(name: str, words: str) -> None:
    assert words_of(name) == words


def test_the_table_has_the_most_of_each_day() -> None:
    history = (25 * HOUR, "5h", 0.1), (24 * HOUR, "5h", 0.9), (2 * HOUR, "5h", 0.3), (HOUR, "7d", 0.25)

    view = plan_view(seen(*history), NOW)

    assert view is not None
    assert (view.names, view.columns) == (("5 hours", "7 days"), [("5 hours", True), ("7 days", True)])
    assert [(day.day, shares) for day, shares in view.days] == [(30, (90, None)), (1, (30, 25))]


def test_one_point_makes_no_line() -> None:
    view = plan_view(seen((HOUR, "5h", 0.5)), NOW)

    assert view is not None
    assert (view.chart, len(view.days)) == (None, 1)


def test_a_chart_has_a_name_and_neither_style_nor_script_nor_foreign_address() -> None:
    points = [(NOW - 9 * HOUR, 10.0), (NOW - 2 * HOUR, 120.0)]

    svg = percent_lines('Used & "named" <so>', {"5 hours": points, "7 days": points}, NOW - LOOKED_BACK, NOW).__html__()

    drawn = ElementTree.fromstring(svg)
    assert (drawn.get("role"), drawn.get("aria-label")) == ("img", 'Used & "named" <so>')
    assert re.findall(r"style|<script|<!--|href|\son\w+=", svg) == []
    assert svg.count("http") == svg.count('xmlns="http://www.w3.org/2000/svg"') == 1
    assert len(re.findall(r'class="line[^"]*"', svg)) >= 2
    assert "50 %" in svg and "30 Apr" in svg
