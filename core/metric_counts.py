"""Counts what happens in one worker: the hot path of the metrics, a few microseconds a request.

Knows the catalogue and a request's record; refuses to know files and formats. A listener of the recorder. Invariants: what is
counted here is what the ledger sums (`core.outcome.is_error`, `is_fallback`, integer micro-dollars), so both agree to the last
token; a name that is in no closed set counts as `other`; nothing here waits or raises.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.metric_file import Cells
from core.metrics import (
    BUCKET,
    BUCKETS_MS,
    CATALOGUE,
    ENDPOINT,
    ERROR_TYPE,
    NOBODY,
    OTHER,
    PROVIDER,
    REASON,
    SUM,
    TOKEN_TYPE,
    Kind,
    Metric,
    series,
)
from core.outcome import is_error, is_fallback
from core.record import RequestRecord

_MESSAGES = "messages"
_MOST_SAMPLES = 50_000  # of one kind in 10 s: more than a worker can serve

Key = tuple[Metric, str]  # a metric and the value of its dimension, empty where it has none


@dataclass(slots=True)
class Taken:
    """What happened since the last time: for CloudWatch, which adds up itself."""

    counted: dict[Key, float] = field(default_factory=dict)
    samples: dict[Key, list[float]] = field(default_factory=dict)


class _Distribution:
    __slots__ = ("_cells", "_first", "_sum", "samples")

    def __init__(self, cells: memoryview[float], first: int, total: int) -> None:
        self._cells, self._first, self._sum = cells, first, total
        self.samples: list[float] = []

    def add(self, value: float) -> None:
        self._cells[self._first + bisect_left(BUCKETS_MS, value)] += 1.0
        self._cells[self._sum] += value
        if len(self.samples) < _MOST_SAMPLES:
            self.samples.append(value)


@dataclass(frozen=True, slots=True)
class _Answerer:
    """Where the answers of one provider are counted."""

    requests: int
    latency: _Distribution
    overhead: _Distribution
    first_byte: _Distribution


class Counts:
    """One a worker. Safe between greenlets."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells.values
        self._at = {name: place for place, name in enumerate(cells.names)}
        self._distributions: dict[Key, _Distribution] = dict(self._all_distributions())
        by_name = {metric.name: metric for metric in CATALOGUE}
        self._answerers = {provider: self._answerer(by_name, provider) for provider in PROVIDER.values}
        self._nobody = self._answerers[NOBODY]
        self._errors = self._places("ErrorCount", ERROR_TYPE.values)
        self._fallbacks = self._places("FallbackCount", REASON.values)
        self._side = self._places("SideRequestCount", ENDPOINT.values)
        self._tokens = tuple(self._at[f"TokensUsed|{kind}"] for kind in TOKEN_TYPE.values)
        self._spend = self._at["BedrockSpend"]

    def finished(self, record: RequestRecord) -> None:
        """A request has ended in this worker."""
        if record.endpoint != _MESSAGES:
            self._count_side(record)
            return
        answerer = self._answerers.get(record.provider, self._nobody)
        self._count(record, answerer)
        answerer.latency.add(record.total_ms)
        answerer.overhead.add(record.overhead_ms)
        if record.first_byte_ms:
            answerer.first_byte.add(record.first_byte_ms)

    def flushed(self, records: Sequence[RequestRecord]) -> None:
        """Nothing to do: they were counted when they finished."""

    def recovered(self, records: Sequence[RequestRecord]) -> None:
        """Answers whose worker was killed, which nobody has counted. How long they took nobody knows."""
        for record in records:
            self._count(record, self._answerers.get(record.provider, self._nobody))

    def add(self, name: str, amount: float = 1.0) -> None:
        """More of a counter without a dimension."""
        self._cells[self._at[name]] += amount

    def set(self, name: str, value: float) -> None:
        """A gauge without a dimension, or the roll-up of one."""
        self._cells[self._at[name]] = value

    def get(self, name: str) -> float:
        return self._cells[self._at[name]]

    def take(self) -> Taken:
        """What was counted since the last `take`, also that of a former holder of the cells who could not tell it any more."""
        taken = Taken()
        for metric in CATALOGUE:
            if metric.kind is Kind.COUNTER:
                for value in metric.dimension.values or ("",):
                    place = self._at[series(metric, value)]
                    more = self._cells[place] - self._cells[place + 1]  # behind a counter stands what was told of it
                    self._cells[place + 1] = self._cells[place]
                    if more > 0:
                        taken.counted[metric, value] = more
        for key, distribution in self._distributions.items():
            if distribution.samples:
                taken.samples[key] = distribution.samples
                distribution.samples = []
        return taken

    def _count(self, record: RequestRecord, answerer: _Answerer) -> None:
        cells, tokens = self._cells, self._tokens
        cells[answerer.requests] += 1.0
        cells[tokens[0]] += record.input_tokens
        cells[tokens[1]] += record.output_tokens
        cells[tokens[2]] += record.cache_write_5m_tokens
        cells[tokens[3]] += record.cache_write_1h_tokens
        cells[tokens[4]] += record.cache_read_tokens
        cells[self._spend] += record.cost_micros
        if record.fault or record.status >= 400:
            self._count_fault(record)

    def _count_fault(self, record: RequestRecord) -> None:
        if is_error(record.status, record.provider, record.fault):
            kind = record.error_type or record.fault
            self._cells[self._errors.get(kind, self._errors[OTHER])] += 1.0
        if is_fallback(record.provider, record.fault):
            self._cells[self._fallbacks.get(record.fault, self._fallbacks[OTHER])] += 1.0

    def _count_side(self, record: RequestRecord) -> None:
        place = self._side.get(record.endpoint)
        if place is not None:
            self._cells[place] += 1.0

    def _places(self, name: str, values: Sequence[str]) -> dict[str, int]:
        return {value: self._at[f"{name}|{value}"] for value in values}

    def _all_distributions(self) -> Iterator[tuple[Key, _Distribution]]:
        for metric in CATALOGUE:
            if metric.kind is Kind.DISTRIBUTION:
                for value in metric.dimension.values:
                    name = series(metric, value)
                    first, total = self._at[f"{name}{BUCKET}0"], self._at[f"{name}{SUM}"]
                    yield (metric, value), _Distribution(self._cells, first, total)

    def _answerer(self, by_name: Mapping[str, Metric], provider: str) -> _Answerer:
        latency, overhead, first_byte = (
            self._distributions[by_name[name], provider] for name in ("RequestLatency", "ProxyOverhead", "TimeToFirstByte")
        )
        return _Answerer(self._at[f"RequestCount|{provider}"], latency, overhead, first_byte)
