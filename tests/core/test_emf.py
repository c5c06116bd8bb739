"""Documents are what the published specification says, short enough for the log, and lose no value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.emf import lines
from core.log import MOST_LINE_BYTES
from core.metric_counts import Key, Taken
from core.metrics import CATALOGUE, Kind
from tests.core.cloudwatch_of_ours import CloudWatch
from tests.core.emf_schema import assert_valid

BY_NAME = {metric.name: metric for metric in CATALOGUE}
COUNTERS = [(m, v) for m in CATALOGUE if m.kind is Kind.COUNTER for v in m.dimension.values or ("",)]
GAUGES = [(m, "") for m in CATALOGUE if m.kind in (Kind.SUM, Kind.WORST)]
TIMES = [(m, v) for m in CATALOGUE if m.kind is Kind.DISTRIBUTION for v in m.dimension.values]


def key(name: str, value: str = "") -> Key:
    return BY_NAME[name], value


def documents(taken: Taken, now: dict[Key, float] | None = None) -> list[Any]:
    written = list(lines("ClaudeCodeProxy", "wrk_1", 1_800_000_000.123, taken, now or {}))
    assert all(b"\n" not in line and len(line) < MOST_LINE_BYTES for line in written)
    return [json.loads(line) for line in written]


def test_a_document_has_the_shape_of_our_log_and_cloudwatchs_beside_it() -> None:
    [document] = documents(Taken({key("RequestCount", "plan"): 3.0}, {key("RequestLatency", "plan"): [1.5, 20.0]}))
    assert document == {
        "timestamp": "2027-01-15T08:00:00.123Z",
        "level": "INFO",
        "request_id": "",
        "message": "metrics",
        "context": {"log": "metrics", "worker": "wrk_1"},
        "_aws": {
            "Timestamp": 1_800_000_000_123,
            "CloudWatchMetrics": [
                {
                    "Namespace": "ClaudeCodeProxy",
                    "Dimensions": [[], ["provider"]],
                    "Metrics": [{"Name": "RequestCount", "Unit": "Count"}, {"Name": "RequestLatency", "Unit": "Milliseconds"}],
                }
            ],
        },
        "provider": "plan",
        "RequestCount": 3,
        "RequestLatency": [1.5, 20.0],
    }


def test_all_metrics_at_once_are_valid_and_have_their_dimensions() -> None:
    taken = Taken(dict.fromkeys(COUNTERS, 1.0), {each: [1.0] for each in TIMES})
    seen = CloudWatch(documents(taken, dict.fromkeys(GAUGES, 1.0) | {key("CircuitBreakerState", "key_1"): 1.0}))
    expected = {
        metric.name: ({(metric.dimension.name,)} if metric.dimension.name else {()})
        | ({()} if metric.dimension.rolled_up or metric.name == "CircuitBreakerState" else set())
        for metric in CATALOGUE
    }
    assert {name: seen.dimension_sets(name) for name in expected} == expected
    assert seen.units == {metric.name: metric.unit for metric in CATALOGUE}


def test_a_roll_up_is_the_sum_over_its_dimension() -> None:
    seen = CloudWatch(documents(Taken({key("ErrorCount", "api_error"): 2.0, key("ErrorCount", "other"): 5.0})))
    assert (seen.sum("ErrorCount"), seen.sum("ErrorCount", error_type="api_error")) == (7, 2)


@pytest.mark.parametrize("count", [1, 99, 100, 101, 1234])
def test_every_value_of_a_distribution_arrives_once_and_counters_beside_it_too(count: int) -> None:
    samples = [float(number) for number in range(count)]
    taken = Taken({key("RequestCount", "plan"): float(count)}, {key("RequestLatency", "plan"): samples})
    seen = CloudWatch(documents(taken))
    assert seen.all("RequestLatency", provider="plan") == seen.all("RequestLatency") == samples
    assert seen.sum("RequestCount") == count


def test_the_longest_values_fit_into_a_line() -> None:
    longest = [86_399_999.123] * 100
    written = documents(Taken(dict.fromkeys(COUNTERS, 9_007_199_254_740_991.0), dict.fromkeys(TIMES, longest)))
    assert max(len(json.dumps(document)) for document in written) < MOST_LINE_BYTES


def test_money_is_exact_to_the_millionth() -> None:
    seen = CloudWatch(document for _ in range(1000) for document in documents(Taken({key("BedrockSpend"): 14_396.0})))
    assert str(seen.sum("BedrockSpend")) == "14.396000"


def test_nothing_happened_nothing_is_said() -> None:
    assert documents(Taken()) == []


@given(st.dictionaries(st.sampled_from(TIMES), st.lists(st.floats(0, 1e9), min_size=1, max_size=300), max_size=9))
def test_whatever_was_measured_is_valid(samples: dict[Key, list[float]]) -> None:
    for document in documents(Taken({}, samples)):
        assert_valid(document)
