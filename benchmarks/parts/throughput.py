"""Part 2: requests a second on one core, and what one costs the worker."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from benchmarks.bench import LARGE, SMALL, Bench, Run, messages, pooled
from benchmarks.figures import Bar, Cell, Figure, Section, percentile
from benchmarks.jobs import Job, Shape
from benchmarks.sampling import SAMPLED_LOAD_S, sampled
from benchmarks.targets import Name, Target

NAME = "throughput"
_COLUMNS = ("target", "request", "requests/s", "CPU us/request", "p50 ms", "p99 ms")
_CLIENTS = 32


def run(bench: Bench) -> Section:
    bench.warm_up()
    runs: dict[tuple[int, Name], list[Run]] = defaultdict(list)
    for target in bench.rounds(bench.scale.throughput_rounds):
        for size in (SMALL, LARGE):
            runs[size, target.name].append(bench.run(target, _job(target, size, bench.scale.throughput_s)))
    rows: list[tuple[Cell, ...]] = []
    for size in (SMALL, LARGE):
        rows += [_row(target, size, runs[size, target.name]) for target in bench.targets]
    faults, foreign = bench.collect()
    return Section(
        NAME,
        f"Requests per second on one core: {_CLIENTS} clients, each asking again when answered, small JSON answers",
        _COLUMNS,
        (*rows, *bench.absent_rows(len(_COLUMNS))),
        _bars(runs[SMALL, Name.PROXY]),
        ("direct is the ceiling of the load generator and its upstream, which share one core", *_profile(bench)),
        faults,
        foreign,
    )


def _job(target: Target, size: int, seconds: float) -> Job:
    job = messages(target, size, streamed=False, headers={})
    return replace(job, shape=Shape.CLOSED, concurrency=_CLIENTS, seconds=seconds, limit_s=seconds + 20)


def _row(target: Target, size: int, runs: list[Run]) -> tuple[Cell, ...]:
    waits = pooled([run.tally.first_byte_us for run in runs])
    cost = _cost(runs) if target.worker else None
    return (target.name, f"{size // 1024} KB", _rate(runs), cost, percentile(waits, 50) / 1000, percentile(waits, 99) / 1000)


def _rate(runs: list[Run]) -> Figure | None:
    return Figure.of([run.tally.done / run.tally.seconds for run in runs if run.tally.done])


def _cost(runs: list[Run]) -> Figure | None:
    return Figure.of([run.cpu_us / run.tally.done for run in runs if run.tally.done])


def _bars(runs: list[Run]) -> tuple[Bar, ...]:
    """By the clock, and by the CPU time that a request took: the second leaves out what others did on the core meanwhile."""
    rate, cost = _rate(runs), _cost(runs)
    if rate is None or cost is None:
        return ()
    return (
        Bar("requests a second per core, by the clock", rate.median, 1000, 1500, "/s", at_least=True),
        Bar("requests per second of the worker's CPU time", 1e6 / cost.median, 1000, 1500, "/s", at_least=True),
    )


def _profile(bench: Bench) -> tuple[str, ...]:
    proxy = bench.target(Name.PROXY)
    if bench.profile_dir is None or proxy is None:
        return ()
    lines: tuple[str, ...] = ()
    for size in (SMALL, LARGE):
        title = f"{NAME}-{size // 1024}KB"
        lines += (title, *sampled(bench, proxy, _job(proxy, size, SAMPLED_LOAD_S), bench.profile_dir / f"{title}.txt"))
    return lines
