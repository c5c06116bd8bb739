"""A request is counted once, where it belongs, whoever sent what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.metric_counts import Counts
from core.metric_file import Cells, open_cells
from core.metrics import cell_names
from core.record import RequestRecord


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    return open_cells(tmp_path, cell_names())


@pytest.fixture
def counts(cells: Cells) -> Counts:
    return Counts(cells)


def record(**changes: Any) -> RequestRecord:
    usual = RequestRecord(
        "req_1",
        1.8e9,
        "user_1",
        "key_1",
        provider="plan",
        status=200,
        input_tokens=1,
        output_tokens=2,
        cache_write_5m_tokens=3,
        cache_write_1h_tokens=4,
        cache_read_tokens=5,
        first_byte_ms=800.0,
        total_ms=5000.0,
        overhead_ms=1.25,
    )
    return replace(usual, **changes)


def counted(counts: Counts) -> dict[str, float]:
    return {f"{metric.name} {value}".strip(): more for (metric, value), more in counts.take().counted.items()}


TOKENS = {f"TokensUsed {kind}": float(n) for n, kind in enumerate(("input", "output", "cache_write_5m", "cache_write_1h"), 1)}
TOKENS |= {"TokensUsed cache_read": 5.0}
ON_BEDROCK = {"provider": "bedrock", "fault": "plan_exhausted", "cost_micros": 14_396}
CASES: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "the Plan answers": ({}, {"RequestCount plan": 1}),
    "Bedrock answers": (ON_BEDROCK, {"RequestCount bedrock": 1, "FallbackCount plan_exhausted": 1, "BedrockSpend": 14_396}),
    "Bedrock alone": ({"provider": "bedrock", "cost_micros": 7}, {"RequestCount bedrock": 1, "BedrockSpend": 7}),
    "the Plan refuses": ({"status": 401, "fault": "plan_auth", "error_type": "authentication_error"}, {"RequestCount plan": 1}),
    "the Plan fails": (
        {"status": 529, "error_type": "overloaded_error"},
        {"RequestCount plan": 1, "ErrorCount overloaded_error": 1},
    ),
    "the client leaves": ({"status": 499, "provider": "", "fault": "client_gone"}, {"RequestCount none": 1}),
    "we refuse": (
        {"status": 402, "provider": "", "fault": "budget_spent", "error_type": "billing_error"},
        {"RequestCount none": 1, "ErrorCount billing_error": 1},
    ),
    "it breaks without a word": ({"fault": "stream_broken"}, {"RequestCount plan": 1, "ErrorCount stream_broken": 1}),
    "an unheard error": ({"status": 500, "error_type": "x" * 99}, {"RequestCount plan": 1, "ErrorCount other": 1}),
    "an unheard provider": ({"provider": "new"}, {"RequestCount none": 1}),
    "an unheard reason": (
        {"provider": "bedrock", "fault": "plan_new"},
        {"RequestCount bedrock": 1, "FallbackCount other": 1},
    ),
}


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_a_request_for_messages_counts_where_it_belongs(counts: Counts, changes: Any, expected: dict[str, float]) -> None:
    counts.finished(record(**changes))
    assert counted(counts) == TOKENS | expected


@pytest.mark.parametrize("endpoint", ["count_tokens", "models", "passthrough"])
def test_requests_beside_messages_are_counted_apart(counts: Counts, endpoint: str) -> None:
    counts.finished(record(endpoint=endpoint, status=529, provider=""))
    assert counted(counts) == {f"SideRequestCount {endpoint}": 1}


def test_times_are_kept_one_by_one_and_an_answer_without_a_first_byte_has_none(counts: Counts) -> None:
    counts.finished(record())
    counts.finished(record(total_ms=7000.0, first_byte_ms=0.0))
    samples = {f"{metric.name} {value}": values for (metric, value), values in counts.take().samples.items()}
    assert samples == {
        "RequestLatency plan": [5000.0, 7000.0],
        "ProxyOverhead plan": [1.25, 1.25],
        "TimeToFirstByte plan": [800.0],
    }


def test_what_was_taken_is_not_given_again(counts: Counts) -> None:
    counts.finished(record())
    counts.take()
    assert (counts.take().counted, counts.take().samples) == ({}, {})


def test_what_a_former_holder_could_not_tell_is_told_by_the_next(counts: Counts, cells: Cells) -> None:
    counts.finished(record())
    counts.take()
    counts.finished(record(input_tokens=100))
    assert counted(Counts(cells))["TokensUsed input"] == 100


def test_answers_of_a_killed_worker_count_but_for_their_times(counts: Counts) -> None:
    lost = record(error_type="worker_lost", fault="stream_broken")
    counts.recovered([lost])
    taken = counts.take()
    assert taken.samples == {}
    assert {f"{metric.name} {value}" for metric, value in taken.counted} == {
        *TOKENS,
        "RequestCount plan",
        "ErrorCount worker_lost",
    }


def test_a_worker_that_nobody_asks_keeps_no_more_than_so_much(counts: Counts) -> None:
    for _ in range(50_100):
        counts.finished(record())
    taken = counts.take()
    assert {len(values) for values in taken.samples.values()} == {50_000}
    assert sum(more for (metric, _), more in taken.counted.items() if metric.name == "RequestCount") == 50_100
