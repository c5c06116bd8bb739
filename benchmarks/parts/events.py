"""Part 3: what relaying one event costs: the slope between two lengths of stream, so that setting one up drops out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from benchmarks.bench import SMALL, Bench, Run, streams
from benchmarks.figures import Bar, Cell, Figure, Section, percentile
from benchmarks.jobs import Job, Shape
from benchmarks.sampling import SAMPLED_LOAD_S, sampled
from benchmarks.targets import Name, Target

NAME = "events"
_COLUMNS = ("target", "CPU us/event", "CPU us/stream set-up", "delay p50 us", "delay p99 us")
_STREAMS = 50
_INTERVAL_MS = 10  # 50 streams x 100 a second: 5,000 events a second in all


def run(bench: Bench) -> Section:
    bench.warm_up()
    few, many = bench.scale.event_counts
    runs: dict[Name, list[tuple[Run, Run]]] = defaultdict(list)
    for target in bench.rounds(bench.scale.event_rounds):
        runs[target.name].append((bench.run(target, _job(target, few)), bench.run(target, _job(target, many))))
    rows = [_row(target, runs[target.name], few, many) for target in bench.targets]
    faults, foreign = bench.collect()
    return Section(
        NAME,
        f"CPU per relayed event: {_STREAMS} streams, {_STREAMS * 1000 // _INTERVAL_MS:,} events a second in all",
        _COLUMNS,
        (*rows, *bench.absent_rows(len(_COLUMNS))),
        _bars(_slope(runs[Name.PROXY], few, many)),
        _profile(bench),
        faults,
        foreign,
    )


def _job(target: Target, events: int) -> Job:
    job = streams(target, SMALL, events, _INTERVAL_MS)
    length_s = events * _INTERVAL_MS / 1000
    return replace(job, shape=Shape.CLOSED, concurrency=_STREAMS, ramp_s=_INTERVAL_MS / 1000, limit_s=length_s + 20)


def _row(target: Target, runs: list[tuple[Run, Run]], few: int, many: int) -> tuple[Cell, ...]:
    delays = [delay for _, longer in runs for delay in longer.tally.delay_us]
    slope = _slope(runs, few, many) if target.worker else None
    set_up = Figure.of([(shorter.cpu_us - slope.median * few * _STREAMS) / _STREAMS for shorter, _ in runs]) if slope else None
    return (target.name, slope, set_up, percentile(delays, 50), percentile(delays, 99))


def _slope(runs: list[tuple[Run, Run]], few: int, many: int) -> Figure | None:
    return Figure.of([(longer.cpu_us - shorter.cpu_us) / (_STREAMS * (many - few)) for shorter, longer in runs])


def _bars(slope: Figure | None) -> tuple[Bar, ...]:
    return (Bar("CPU per relayed event", slope.median, 70, 45, "us"),) if slope else ()


def _profile(bench: Bench) -> tuple[str, ...]:
    proxy = bench.target(Name.PROXY)
    if bench.profile_dir is None or proxy is None:
        return ()
    job = _job(proxy, int(SAMPLED_LOAD_S * 1000 / _INTERVAL_MS))
    return sampled(bench, proxy, job, bench.profile_dir / f"{NAME}.txt")
