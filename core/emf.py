"""What was counted, as lines in CloudWatch's Embedded Metric Format: CloudWatch Logs makes metrics of them by itself.

Pure. A document has our log shape (SPEC section 13), `_aws` beside it, and the values it names. Distributions are arrays of
the values themselves, at most 100 in a document, as the published specification has it; so percentiles are exact. Invariants:
at most 100 metrics and 3 dimensions a document, every line under 8 KB; a metric and the values of its dimension are told apart
by document, since a member of the root has one value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from core.log import utc_stamp
from core.metric_counts import Key, Taken
from core.metrics import Metric

MOST_VALUES = 100
_Values = dict[Metric, float | list[float]]


def lines(namespace: str, worker: str, unix_s: float, taken: Taken, now: Mapping[Key, float]) -> Iterator[bytes]:
    """Each a line without its newline. `now` are gauges, and what is as it is at this moment."""
    for (dimension, value), metrics in _by_document(taken, now).items():
        rolled_up = next(iter(metrics)).dimension.rolled_up
        sets = [[dimension]] if dimension else [[]]
        yield from _documents(namespace, worker, unix_s, ([[], *sets] if rolled_up else sets, {dimension: value}), metrics)


def _by_document(taken: Taken, now: Mapping[Key, float]) -> dict[tuple[str, str], _Values]:
    together: dict[tuple[str, str], _Values] = defaultdict(dict)
    scaled: Iterable[tuple[Key, float]] = ((key, round(more * key[0].sent_scale, 6)) for key, more in taken.counted.items())
    for (metric, value), number in (*scaled, *now.items()):
        together[metric.dimension.name if value else "", value][metric] = number
    for (metric, value), samples in taken.samples.items():
        together[metric.dimension.name, value][metric] = samples
    return together


def _documents(
    namespace: str, worker: str, unix_s: float, dimensions: tuple[list[list[str]], dict[str, str]], metrics: _Values
) -> Iterator[bytes]:
    """One, or as many as the longest array needs; single numbers are in the first alone."""
    longest = max(len(each) for each in metrics.values() if isinstance(each, list)) if _has_list(metrics) else 1
    for begin in range(0, longest, MOST_VALUES):
        values: dict[Metric, Any] = {}
        for metric, value in metrics.items():
            if isinstance(value, list):
                if piece := value[begin : begin + MOST_VALUES]:
                    values[metric] = piece
            elif begin == 0:
                values[metric] = int(value) if value == int(value) else value
        yield _document(namespace, worker, unix_s, dimensions, values)


def _document(
    namespace: str, worker: str, unix_s: float, dimensions: tuple[list[list[str]], dict[str, str]], values: Mapping[Metric, Any]
) -> bytes:
    sets, members = dimensions
    directive = {
        "Namespace": namespace,
        "Dimensions": sets,
        "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in values],
    }
    entry: dict[str, Any] = {
        "timestamp": utc_stamp(unix_s),
        "level": "INFO",
        "request_id": "",
        "message": "metrics",
        "context": {"log": "metrics", "worker": worker},
        "_aws": {"Timestamp": int(unix_s * 1000), "CloudWatchMetrics": [directive]},
    }
    entry |= {name: value for name, value in members.items() if name}
    entry |= {metric.name: value for metric, value in values.items()}
    return orjson.dumps(entry)


def _has_list(metrics: _Values) -> bool:
    return any(isinstance(value, list) for value in metrics.values())
