"""The catalogue holds what was required, and what it promises about itself."""

from __future__ import annotations

import re

import pytest

from core.metrics import CATALOGUE, Kind, Metric, cell_names
from proxy_app.faults import POLICY, Fault
from tests.core.emf_schema import UNITS

BY_NAME = {metric.name: metric for metric in CATALOGUE}
# The table "Metrics" of the requirements: name, dimension, unit.
REQUIRED = [
    ("RequestCount", "provider", "Count"),
    ("RequestLatency", "provider", "Milliseconds"),
    ("ErrorCount", "error_type", "Count"),
    ("FallbackCount", "reason", "Count"),  # required without a dimension: it is rolled up
    ("CircuitBreakerState", "access_key_id", "Count"),
    ("TokensUsed", "token_type", "Count"),
]
SPECIFIED = ["ProxyOverhead", "TimeToFirstByte", "BedrockSpend", "LedgerBacklog", "ActiveStreams", "HubLag"]


@pytest.mark.parametrize(("name", "dimension", "unit"), REQUIRED, ids=[row[0] for row in REQUIRED])
def test_a_required_metric_has_its_name_dimension_and_unit(name: str, dimension: str, unit: str) -> None:
    metric = BY_NAME[name]
    assert (metric.dimension.name, metric.unit) == (dimension, unit)


def test_the_specified_ones_are_there_too() -> None:
    assert set(SPECIFIED) <= set(BY_NAME)
    assert {BY_NAME[name].unit for name in ("ProxyOverhead", "TimeToFirstByte", "HubLag")} == {"Milliseconds"}


@pytest.mark.parametrize("name", ["RequestCount", "ErrorCount", "FallbackCount", "RequestLatency", "ProxyOverhead"])
def test_what_alarms_look_at_is_rolled_up(name: str) -> None:
    assert BY_NAME[name].dimension.rolled_up


def test_names_are_unique_and_in_the_form_of_their_readers() -> None:
    assert len(BY_NAME) == len(CATALOGUE) == len({metric.exposed for metric in CATALOGUE})
    assert [metric.name for metric in CATALOGUE if not re.fullmatch(r"([A-Z][a-z]+)+", metric.name)] == []
    assert [metric.exposed for metric in CATALOGUE if not re.fullmatch(r"claude_code_proxy_[a-z_]+[a-z]", metric.exposed)] == []
    assert {metric.unit for metric in CATALOGUE} <= set(UNITS)


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_a_metric_is_one_sentence_and_counters_alone_end_in_total(metric: Metric) -> None:
    assert (metric.sentence.endswith(".") and metric.sentence[0].isupper()) or metric.sentence[0] == "1"
    assert metric.exposed.endswith("_total") == (metric.kind is Kind.COUNTER)


def test_the_reasons_of_a_fallback_are_the_plans_faults() -> None:
    plans = {fault.value for fault in Fault if fault.value.startswith("plan_")}
    assert {*plans, "other"} == set(BY_NAME["FallbackCount"].dimension.values)


def test_every_error_type_that_we_make_has_a_place() -> None:
    ours = {policy.error_type for policy in POLICY.values()} - {"client_gone"}
    assert ours <= set(BY_NAME["ErrorCount"].dimension.values)


def test_every_number_has_a_name_of_its_own() -> None:
    assert len(set(cell_names())) == len(cell_names())


def test_only_access_keys_are_an_open_set_of_values() -> None:
    """CloudWatch bills each value of a dimension as a metric."""
    assert [metric.name for metric in CATALOGUE if metric.dimension.name and not metric.dimension.values] == [
        "CircuitBreakerState"
    ]
    assert sum(len(metric.dimension.values) + metric.dimension.rolled_up or 1 for metric in CATALOGUE) < 80
