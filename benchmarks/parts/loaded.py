"""Part 5: how much later the first byte comes while others are served: at 100 concurrent streams, and at 1000 a minute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from benchmarks.bench import LARGE, Bench, added, pooled, streams
from benchmarks.figures import Bar, Cell, Section, percentile
from benchmarks.jobs import Job, Shape
from benchmarks.targets import Name, Target

NAME = "loaded"
_COLUMNS = ("target", "load", "p50 ms", "p95 ms", "p99 ms", "added p95 ms")
_EVENTS, _INTERVAL_MS = 20, 50
_A_MINUTE = 1000


def run(bench: Bench) -> Section:
    bench.warm_up()
    concurrent = bench.scale.loaded_streams
    loads: dict[str, Callable[[Target], Job]] = {
        f"{concurrent} concurrent streams": lambda target: _concurrent(target, concurrent, bench.scale.loaded_s),
        f"{_A_MINUTE} requests a minute": lambda target: _open(target, bench.scale.loaded_s * 1.5),
    }
    rows: list[tuple[Cell, ...]] = []
    bars: list[Bar] = []
    for load, job_for in loads.items():
        rounds: dict[Name, list[list[float]]] = defaultdict(list)
        for target in bench.rounds(bench.scale.loaded_rounds):
            ran = bench.run(target, job_for(target))
            rounds[target.name].append([wait / 1000 for wait in ran.tally.first_byte_us])
        for target in bench.targets:
            seen = pooled(rounds[target.name])
            extra = None if target.name is Name.DIRECT else added(rounds, target.name, 95)
            rows.append((target.name, load, *(percentile(seen, percent) for percent in (50, 95, 99)), extra))
        figure = added(rounds, Name.PROXY, 95)
        bars += [Bar(f"added latency p95, {load}", figure.median, 100, 5, "ms")] if figure else []
    faults, foreign = bench.collect()
    return Section(
        NAME,
        f"First byte under load: 100 KB requests, streams of {_EVENTS} events, {_INTERVAL_MS} ms apart",
        _COLUMNS,
        (*rows, *bench.absent_rows(len(_COLUMNS))),
        tuple(bars),
        faults=faults,
        foreign_percent=foreign,
    )


def _concurrent(target: Target, count: int, seconds: float) -> Job:
    """Each stream begins anew when it has ended; the start is spread over one stream's length."""
    job = streams(target, LARGE, _EVENTS, _INTERVAL_MS)
    ramp_s = _EVENTS * _INTERVAL_MS / 1000
    return replace(job, shape=Shape.CLOSED, concurrency=count, ramp_s=ramp_s, seconds=ramp_s + seconds, limit_s=seconds + 30)


def _open(target: Target, seconds: float) -> Job:
    job = streams(target, LARGE, _EVENTS, _INTERVAL_MS)
    return replace(job, shape=Shape.OPEN, concurrency=64, rate=_A_MINUTE / 60, seconds=seconds, limit_s=seconds + 30)
