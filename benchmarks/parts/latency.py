"""Part 1: how much later the first byte comes, one request at a time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from benchmarks.bench import LARGE, SMALL, Bench, added, messages, pooled
from benchmarks.figures import Bar, Cell, Section, percentile
from benchmarks.jobs import Job
from benchmarks.messages import EVENTS_HEADER
from benchmarks.targets import Name, Target

NAME = "latency"
_COLUMNS = ("target", "answer", "request", "p50 us", "p95 us", "p99 us", "added p50 us")
_CASES = tuple((streamed, size) for streamed in (False, True) for size in (SMALL, LARGE))
_EVENTS = "5"


def run(bench: Bench) -> Section:
    bench.warm_up()
    samples: dict[tuple[bool, int], dict[Name, list[list[float]]]] = {case: defaultdict(list) for case in _CASES}
    for target in bench.rounds(bench.scale.latency_rounds):
        for case in _CASES:
            ran = bench.run(target, _job(target, *case, bench.scale.latency_samples))
            samples[case][target.name].append(ran.tally.first_byte_us)
    rows: list[tuple[Cell, ...]] = []
    for (streamed, size), rounds in samples.items():
        for target in bench.targets:
            seen = pooled(rounds[target.name])
            figures = [percentile(seen, percent) for percent in (50, 95, 99)]
            extra = None if target.name is Name.DIRECT else added(rounds, target.name, 50)
            rows.append((target.name, "stream" if streamed else "JSON", f"{size // 1024} KB", *figures, extra))
    faults, foreign = bench.collect()
    return Section(
        NAME,
        "Added first-byte latency: sequential, keep-alive",
        _COLUMNS,
        (*rows, *bench.absent_rows(len(_COLUMNS))),
        _bars(samples),
        faults=faults,
        foreign_percent=foreign,
    )


def _job(target: Target, streamed: bool, size: int, count: int) -> Job:
    headers = {EVENTS_HEADER: _EVENTS} if streamed else {}
    return replace(messages(target, size, streamed=streamed, headers=headers), count=count)


def _bars(samples: dict[tuple[bool, int], dict[Name, list[list[float]]]]) -> tuple[Bar, ...]:
    bars = []
    for streamed in (False, True):
        figure = added(samples[streamed, LARGE], Name.PROXY, 50)
        if figure is not None:
            what = f"added first byte, median, 100 KB request, {'stream' if streamed else 'JSON'}"
            bars.append(Bar(what, figure.median / 1000, 1.0, 1.0, "ms"))
    return tuple(bars)
