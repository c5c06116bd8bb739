"""The text at /metrics is what Prometheus's own parser reads, and says of a machine what its workers say together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.metric_counts import Counts
from core.metric_file import Cells, Numbers, open_cells
from core.metrics import CATALOGUE, cell_names
from core.prometheus import exposition
from tests.core.test_metric_counts import record

NAMES = cell_names()


def parsed(numbers: Sequence[Numbers], open_keys: Sequence[str] = ()) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(exposition(numbers, open_keys))
    return {
        (sample.name.removeprefix("claude_code_proxy_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def workers(tmp_path: Path) -> list[tuple[Counts, Cells]]:
    opened = [open_cells(tmp_path, NAMES) for _ in range(2)]
    return [(Counts(cells), cells) for cells in opened]


def test_workers_count_together(workers: Any) -> None:
    (first, cells), (second, others) = workers
    first.finished(record())
    second.finished(record(cost_micros=1_250_000))
    second.finished(record(provider="bedrock"))
    said = parsed([cells.read(), others.read()])
    assert said["requests_total", (("provider", "plan"),)] == 2
    assert said["requests_total", (("provider", "bedrock"),)] == 1
    assert said["tokens_total", (("token_type", "cache_read"),)] == 15
    assert said["bedrock_spend_dollars_total", ()] == 1.25
    assert said["workers", ()] == 2


def test_the_dead_are_counted_but_have_no_say_in_what_is_now(workers: Any) -> None:
    (first, cells), (second, others) = workers
    first.finished(record())
    for counts in (first, second):
        counts.set("ActiveStreams", 5)
        counts.set("LedgerBacklogAge", 7)
    said = parsed([Numbers(cells.read().values, lives=False), others.read()])
    assert said["requests_total", (("provider", "plan"),)] == 1
    assert (said["active_streams", ()], said["workers", ()]) == (5, 1)


def test_gauges_of_a_machine_are_the_sum_or_the_worst(workers: Any) -> None:
    (first, cells), (second, others) = workers
    first.set("ActiveStreams", 2)
    second.set("ActiveStreams", 3)
    first.set("HubLag", 250)
    second.set("HubLag", 40)
    said = parsed([cells.read(), others.read()])
    assert (said["active_streams", ()], said["hub_lag_seconds", ()]) == (5, 0.25)


@pytest.mark.parametrize(("ms", "bound"), [(0.0, "0.001"), (1.0, "0.001"), (1.01, "0.0025"), (250.0, "0.25"), (9e9, "+Inf")])
def test_a_time_is_in_the_bucket_of_its_bound_and_in_all_above(workers: Any, ms: float, bound: str) -> None:
    counts, cells = workers[0]
    counts.finished(record(total_ms=ms))
    said = parsed([cells.read()])
    buckets = [
        (dict(labels)["le"], value)
        for (name, labels), value in said.items()
        if name == "request_latency_seconds_bucket" and ("provider", "plan") in labels
    ]
    assert next(le for le, value in buckets if value == 1) == bound
    assert (buckets[-1], said["request_latency_seconds_count", (("provider", "plan"),)]) == (("+Inf", 1), 1)
    assert said["request_latency_seconds_sum", (("provider", "plan"),)] == pytest.approx(ms / 1000)


def test_open_circuits_are_named_and_closed_ones_are_not(workers: Any) -> None:
    said = parsed([workers[0][1].read()], ["key_1", 'odd"\\\nkey'])
    assert {labels: value for (name, labels), value in said.items() if name == "circuit_breaker_state"} == {
        (("access_key_id", "key_1"),): 1,
        (("access_key_id", 'odd"\\\nkey'),): 1,
    }


def test_every_metric_of_the_catalogue_is_a_family_with_its_sentence(workers: Any) -> None:
    families = {family.name: family for family in text_string_to_metric_families(exposition([workers[0][1].read()], ["key_1"]))}
    assert {metric.exposed.removesuffix("_total"): metric.sentence for metric in CATALOGUE}.items() <= {
        name: family.documentation for name, family in families.items()
    }.items()
    assert {family.type for family in families.values()} == {"counter", "gauge", "histogram"}


def test_large_counts_are_not_rounded(workers: Any) -> None:
    counts, cells = workers[0]
    counts.finished(record(input_tokens=123_456_789_012_345))
    assert 'tokens_total{token_type="input"} 123456789012345\n' in exposition([cells.read()], [])
