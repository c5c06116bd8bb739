"""Part 4: what many open streams cost in memory, and how late their events come."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, replace

from benchmarks.bench import LARGE, SMALL, Bench, streams
from benchmarks.figures import Bar, Cell, Figure, Section, percentile
from benchmarks.jobs import Job, Shape, Tally
from benchmarks.processes import cpu_us, memory_mb
from benchmarks.targets import Name, Target

NAME = "memory"
_COLUMNS = ("target", "streams", "request", "RSS MB", "PSS MB", "KB/stream", "CPU %", "first byte p50/p99 ms", "delay p50/p99 ms")
_INTERVAL_MS = 200
_RAMP_PER_S = 250

_Case = tuple[Name, int, int]  # whose worker, streams, request bytes


@dataclass(frozen=True, slots=True)
class _Held:
    """What was seen while so many streams were open."""

    tally: Tally
    rss_mb: float
    pss_mb: float
    cpu_percent: float


def run(bench: Bench) -> Section:
    bench.warm_up()
    idle = {target.name: memory_mb(target.worker) for target in bench.targets if target.worker}
    held: dict[_Case, list[_Held]] = defaultdict(list)
    for count, size in _cases(bench.scale.memory_streams):
        for target in bench.rounds(bench.scale.memory_rounds):
            held[target.name, count, size].append(_hold(bench, target, count, size))
    rows: list[tuple[Cell, ...]] = [(name, "idle", None, rss, pss, *[None] * 4) for name, (rss, pss) in idle.items()]
    rows += [_row(case, seen, idle.get(case[0])) for case, seen in held.items()]
    faults, _ = bench.collect()
    return Section(
        NAME,
        f"Open streams: one event each {_INTERVAL_MS} ms, {_RAMP_PER_S} new ones a second; figures of the worker process",
        _COLUMNS,
        (*rows, *bench.absent_rows(len(_COLUMNS))),
        _bars(bench, held),
        faults=faults,
    )


def _cases(counts: tuple[int, ...]) -> list[tuple[int, int]]:
    """(streams, request bytes): small requests for the streams' own cost, then large ones as Claude Code sends them."""
    return [*((count, SMALL) for count in counts), (max(counts), LARGE)]


def _hold(bench: Bench, target: Target, count: int, size: int) -> _Held:
    ramp_s = count / _RAMP_PER_S
    job = _job(target, count, size, ramp_s, bench.scale.memory_hold_s)
    bench.generator.start(job)
    time.sleep(ramp_s + bench.scale.memory_hold_s / 4)
    before, began = cpu_us(target.worker) if target.worker else 0.0, time.monotonic()
    time.sleep(bench.scale.memory_hold_s / 2)
    rss, pss, cpu = (0.0, 0.0, 0.0)
    if target.worker:
        cpu = (cpu_us(target.worker) - before) / (time.monotonic() - began) / 1e4
        rss, pss = memory_mb(target.worker)
    tally = bench.generator.result()
    bench.note(target, tally)
    return _Held(tally, rss, pss, cpu)


def _job(target: Target, count: int, size: int, ramp_s: float, hold_s: float) -> Job:
    """Streams long enough that the first is still open when the last has been open for a while."""
    length_s = ramp_s + hold_s
    job = streams(target, size, round(length_s * 1000 / _INTERVAL_MS), _INTERVAL_MS)
    return replace(job, shape=Shape.CLOSED, concurrency=count, ramp_s=ramp_s, limit_s=length_s + ramp_s + 20)


def _row(case: _Case, seen: list[_Held], idle: tuple[float, float] | None) -> tuple[Cell, ...]:
    name, count, size = case
    what = (name, str(count), f"{size // 1024} KB")
    waits = [wait / 1000 for each in seen for wait in each.tally.first_byte_us]
    delays = [delay / 1000 for each in seen for delay in each.tally.delay_us]
    times = (_two(waits), _two(delays))
    if idle is None:
        return (*what, None, None, None, None, *times)
    pss = Figure.of([each.pss_mb for each in seen])
    grown = (pss.median - idle[1]) * 1000 / count if pss else None
    cpu = Figure.of([each.cpu_percent for each in seen])
    return (*what, Figure.of([each.rss_mb for each in seen]), pss, grown, cpu, *times)


def _two(samples: list[float]) -> str:
    return f"{percentile(samples, 50):.2f} / {percentile(samples, 99):.2f}"


def _bars(bench: Bench, held: dict[_Case, list[_Held]]) -> tuple[Bar, ...]:
    most = max(bench.scale.memory_streams)
    bars = []
    for size in (SMALL, LARGE):
        rss = Figure.of([each.rss_mb for each in held[Name.PROXY, most, size]])
        what = f"resident memory of the worker at {most} streams of {size // 1024} KB requests"
        bars += [Bar(what, rss.median, 150, 150, "MB")] if rss else []
    return tuple(bars)
