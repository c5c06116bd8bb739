"""The templates say what was decided: each rule is one sentence about all five stacks together."""

from __future__ import annotations

import pytest

from core import metrics
from tests.ecs.contract import RULES, violations
from tests.ecs.rules_watch import CATALOGUE
from tests.ecs.stacks import Stacks


@pytest.fixture(scope="module")
def stacks() -> Stacks:
    return Stacks()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_templates_keep_the_rule(rule: str, stacks: Stacks) -> None:
    assert violations(rule, stacks) == []


def test_the_metrics_of_alarms_and_dashboard_are_those_that_the_product_sends() -> None:
    """A metric is sent without a dimension if it has none, if it is rolled up, or if its values are no closed set."""
    product = {metric.name: metric.dimension for metric in metrics.CATALOGUE}
    sent = {
        name: {dimension.name} | ({""} if dimension.rolled_up or not dimension.values else set())
        for name, dimension in product.items()
    }
    assert {name: sent.get(name) for name in CATALOGUE} == CATALOGUE


def test_units_are_those_of_the_requirements() -> None:
    units = {metric.name: metric.unit for metric in metrics.CATALOGUE}
    counted = ("RequestCount", "ErrorCount", "FallbackCount", "CircuitBreakerState", "TokensUsed")
    assert {name: units[name] for name in (*counted, "RequestLatency")} == dict.fromkeys(counted, "Count") | {
        "RequestLatency": "Milliseconds"
    }
