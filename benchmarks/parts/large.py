"""Part 7: bodies of megabytes, and many token counts at once: what they cost, and whether anybody else has to wait for them.

A stream with an event each 5 ms runs through the proxy all the while; how late its events come is how long the one thread
that serves everybody was held up. Every figure of the stream is also measured with nothing beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.bench import LARGE, Bench, messages, streams
from benchmarks.figures import Bar, Cell, Section, percentile
from benchmarks.generator import Generator
from benchmarks.jobs import Job, Shape, Tally
from benchmarks.messages import PLAN_HEADER
from benchmarks.processes import cpu_us
from benchmarks.targets import Name, Target

NAME = "large"
_COLUMNS = ("beside the stream", "p50 ms", "p95 ms", "CPU ms each", "event delay p50/p99 ms", "longest")
_INTERVAL_MS = 5
_FIVE_MB, _TEN_MB = 5_000_000, 10_000_000
_LONG_SESSION = 3001
_COUNTS = 27
_MOST_EVENTS = 4000
_PER_REQUEST_S = 0.25  # how long the stream must go on for each large request, with room
_STREAM_S = 1.0


@dataclass(frozen=True, slots=True)
class _Case:
    what: str
    job: Callable[[Target, int], Job]
    samples: int = 1


@dataclass(frozen=True, slots=True)
class _Round:
    """What the requests took (ms), the worker's CPU for each (ms), and the stream's delays (ms)."""

    seconds_ms: list[float]
    cpu_ms: float
    delays_ms: list[float]


def run(bench: Bench) -> Section:
    target = bench.target(Name.PROXY)
    if target is None:
        return Section(NAME, "Large bodies: only measured through the proxy", _COLUMNS, ())
    bench.warm_up()
    other = Generator(bench.stage)
    rounds: dict[str, list[_Round]] = {}
    for _ in range(bench.scale.large_rounds):
        for case in _CASES:
            rounds.setdefault(case.what, []).append(_measured(bench, other, target, case))
    alone = _longest(rounds[_ALONE])
    rows = [_row(what, seen) for what, seen in rounds.items()]
    bars = [Bar(f"delay added to an event by {what}", _longest(rounds[what]) - alone, 20, 10, "ms") for what in _WATCHED]
    faults, foreign = bench.collect()
    return Section(NAME, _TITLE, _COLUMNS, tuple(rows), (*bars,), faults=faults, foreign_percent=foreign)


def _measured(bench: Bench, other: Generator, target: Target, case: _Case) -> _Round:
    count = bench.scale.large_samples * case.samples
    events = min(_MOST_EVENTS, int((_STREAM_S + count * _PER_REQUEST_S) * 1000 / _INTERVAL_MS))
    bench.generator.start(replace(streams(target, 2048, events, _INTERVAL_MS), count=1))
    time.sleep(_STREAM_S / 4)  # until it flows
    cpu = cpu_us(target.worker or 0)
    asked = other.run(case.job(target, count))
    cpu = cpu_us(target.worker or 0) - cpu
    stream = bench.generator.result()
    bench.note(target, asked)
    bench.note(target, stream)
    each = [wait / 1000 for wait in asked.first_byte_us]
    return _Round(each, cpu / 1000 / max(1, len(each)), _inside(stream))


def _inside(stream: Tally) -> list[float]:
    """Delays in ms, without the first ones, which are of the connection."""
    return [delay / 1000 for delay in stream.delay_us[10:]]


def _nothing(target: Target, count: int) -> Job:
    return replace(messages(target, 2048, streamed=False, headers={}), count=1 if count else 0)


def _fallback(size: int) -> Callable[[Target, int], Job]:
    def job(target: Target, count: int) -> Job:
        asked = messages(target, size, streamed=True, headers={PLAN_HEADER: "refuse"})
        return replace(asked, messages=_LONG_SESSION, count=count, expect="x-proxy-provider: bedrock")

    return job


def _plan(target: Target, count: int) -> Job:
    asked = messages(target, _TEN_MB, streamed=False, headers={})
    return replace(asked, messages=_LONG_SESSION, count=count, expect="x-proxy-provider: plan")


def _counts(target: Target, count: int) -> Job:  # noqa: ARG001
    """All at once, each on a connection of its own; the Plan is in trouble and Bedrock gives no count."""
    asked = messages(target, LARGE, streamed=False, headers={PLAN_HEADER: "refuse"})
    path = asked.target.replace("/messages", "/messages/count_tokens")
    asked = replace(asked, target=path, shape=Shape.CLOSED, concurrency=_COUNTS, expect="x-proxy-estimated: true")
    return replace(asked, messages=201)


def _row(what: str, rounds: list[_Round]) -> tuple[Cell, ...]:
    waits = [wait for each in rounds for wait in each.seconds_ms]
    delays = [delay for each in rounds for delay in each.delays_ms]
    quick = f"{percentile(delays, 50):.2f} / {percentile(delays, 99):.2f}"
    cpu = percentile([each.cpu_ms for each in rounds], 50)
    return what, percentile(waits, 50), percentile(waits, 95), cpu, quick, _longest(rounds)


def _longest(rounds: list[_Round]) -> float:
    """The median of the rounds' longest: one hiccup of the machine in one of them does not count."""
    return percentile([max(each.delays_ms, default=float("nan")) for each in rounds], 50)


_ALONE = "nothing"
_CASES = (
    _Case(_ALONE, _nothing),
    _Case("5 MB, falls back", _fallback(_FIVE_MB)),
    _Case("10 MB, falls back", _fallback(_TEN_MB)),
    _Case("10 MB, Plan", _plan),
    _Case("27 token counts at once, 100 KB", _counts),
)
_WATCHED = tuple(case.what for case in _CASES[1:])
_TITLE = f"Large bodies of {_LONG_SESSION} messages, one after the other, beside a stream with an event each {_INTERVAL_MS} ms"
