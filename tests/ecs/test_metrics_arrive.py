"""What the product sends is what alarms and dashboard look at: namespace, names and dimensions, of documents that it made."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from core.emf import lines
from core.metric_counts import Key, Taken
from core.metrics import CATALOGUE, Kind
from tests.core.cloudwatch_of_ours import CloudWatch
from tests.ecs.reading import settings_of
from tests.ecs.stacks import Resource, Stacks

STACKS = Stacks()
NAMESPACE = settings_of(STACKS).emf_namespace
# (requests, errors, whether somebody is woken): more than 20 requests, more than 1 % of them; no errors is no data.
RATES = [(20, 20, False), (21, 1, True), (200, 2, False), (201, 3, True), (500, None, False)]


def sent() -> CloudWatch:
    """Once each metric, with each value of its dimension."""
    keys: list[Key] = [(m, value) for m in CATALOGUE for value in m.dimension.values or ("",)]
    counted = {key: 1.0 for key in keys if key[0].kind is Kind.COUNTER}
    samples = {key: [1.0] for key in keys if key[0].kind is Kind.DISTRIBUTION}
    now = {key: 1.0 for key in keys if key[0].kind in (Kind.SUM, Kind.WORST)}
    now |= {(metric, "key_1"): 1.0 for metric in CATALOGUE if metric.name == "CircuitBreakerState"}
    return CloudWatch(json.loads(line) for line in lines(NAMESPACE, "wrk_1", 1.8e9, Taken(counted, samples), now))


SENT = sent()
ALARMS = STACKS.all("AWS::CloudWatch::Alarm", "observability")
WIDGETS = [
    (widget["properties"]["title"], entry)
    for widget in json.loads(STACKS.one("observability", "Dashboard")["DashboardBody"])["widgets"]
    for entry in widget["properties"]["metrics"]
]
SEARCHES = [(title, entry[0]["expression"]) for title, entry in WIDGETS if "SEARCH" in str(entry[0])]
DIRECT = [(title, entry) for title, entry in WIDGETS if entry[0] == NAMESPACE]


def looked_at(alarm: Resource) -> list[dict[str, Any]]:
    math = [entry["MetricStat"]["Metric"] for entry in alarm.get("Metrics", []) if "MetricStat" in entry]
    return [each for each in [*math, alarm.properties] if each.get("Namespace") == NAMESPACE]


def test_the_deployed_task_sends_metrics_into_the_namespace_of_the_alarms() -> None:
    assert settings_of(STACKS).emits_emf
    assert len([alarm for alarm in ALARMS if looked_at(alarm)]) >= 9


@pytest.mark.parametrize("alarm", [alarm for alarm in ALARMS if looked_at(alarm)], ids=lambda alarm: alarm.name)
def test_an_alarm_looks_at_a_series_that_is_sent(alarm: Resource) -> None:
    for metric in looked_at(alarm):
        dimensions = tuple(each["Name"] for each in metric.get("Dimensions", []))
        assert dimensions in SENT.dimension_sets(metric["MetricName"])


@pytest.mark.parametrize(("title", "entry"), DIRECT, ids=lambda value: str(value[1]) if isinstance(value, list) else "")
def test_a_widget_shows_a_series_that_is_sent(title: str, entry: list[Any]) -> None:
    named = [word for word in entry[2:] if isinstance(word, str)]
    assert tuple(named[::2]) in SENT.dimension_sets(entry[1])


@pytest.mark.parametrize(("title", "expression"), SEARCHES)
def test_a_search_of_a_widget_finds_series_that_are_sent(title: str, expression: str) -> None:
    found = re.fullmatch(r"SEARCH\('\{(\w+),(\w+)\} MetricName=\"(\w+)\"', '(Sum|p\d\d)', 60\)", expression)
    assert found is not None
    assert (found[1], (found[2],) in SENT.dimension_sets(found[3])) == (NAMESPACE, True)


def test_every_widget_is_one_of_these_or_of_aws() -> None:
    others = [(title, entry) for title, entry in WIDGETS if (title, entry) not in DIRECT and "SEARCH" not in str(entry[0])]
    spaces = {entry[0] if isinstance(entry[0], str) else entry[0]["expression"][:2] for _, entry in others}
    assert spaces == {"AWS/ECS", "AWS/ApplicationELB", "AWS/RDS", "IF"}


@pytest.mark.parametrize(("requests", "errors", "wakes"), RATES)
def test_the_rate_of_errors_wakes_somebody_above_1_percent_of_more_than_20_messages(
    requests: int, errors: int | None, wakes: bool
) -> None:
    alarm = STACKS.one("observability", "ErrorRate")
    (expression,) = [entry["Expression"] for entry in alarm["Metrics"] if "Expression" in entry]
    words = {
        "IF": lambda test, then, other: then if test else other,
        "FILL": lambda value, other: other if value is None else value,
    }
    rate = eval(expression, {"__builtins__": {}, **words, "requests": requests, "errors": errors})
    assert (rate > alarm["Threshold"]) is wakes
