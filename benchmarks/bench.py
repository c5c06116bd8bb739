"""What every part of the benchmark works with: the targets, the load generator, and how much of everything.

Invariant: a round visits all targets, every second round backwards (ABBA), so that a drift of the machine hits them alike.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.figures import Cell, Figure, percentile
from benchmarks.generator import Generator
from benchmarks.jobs import Job, Shape, Tally
from benchmarks.messages import EVENTS_HEADER, INTERVAL_HEADER, MESSAGES_PATH
from benchmarks.processes import Stage, busy_us, cpu_us
from benchmarks.targets import Name, Target

SMALL, LARGE = 2_048, 102_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of everything. Rounds are interleaved; `_s` are seconds of load per target and round."""

    latency_rounds: int
    latency_samples: int
    throughput_rounds: int
    throughput_s: float
    event_rounds: int
    event_counts: tuple[int, int]
    memory_rounds: int
    memory_streams: tuple[int, ...]
    memory_hold_s: float
    loaded_rounds: int
    loaded_streams: int
    loaded_s: float
    fallback_rounds: int
    fallback_samples: int
    large_rounds: int
    large_samples: int


FULL = Scale(
    latency_rounds=16,
    latency_samples=50,
    throughput_rounds=5,
    throughput_s=1.5,
    event_rounds=3,
    event_counts=(100, 400),
    memory_rounds=1,
    memory_streams=(100, 300, 1000),
    memory_hold_s=4.0,
    loaded_rounds=3,
    loaded_streams=100,
    loaded_s=3.0,
    fallback_rounds=16,
    fallback_samples=40,
    large_rounds=3,
    large_samples=12,
)
QUICK = Scale(
    latency_rounds=2,
    latency_samples=10,
    throughput_rounds=1,
    throughput_s=0.4,
    event_rounds=1,
    event_counts=(10, 40),
    memory_rounds=1,
    memory_streams=(10, 20),
    memory_hold_s=0.4,
    loaded_rounds=1,
    loaded_streams=10,
    loaded_s=0.6,
    fallback_rounds=2,
    fallback_samples=10,
    large_rounds=1,
    large_samples=2,
)


@dataclass(frozen=True, slots=True)
class Run:
    """A job's tally and the CPU time that the target's worker took for it."""

    tally: Tally
    cpu_us: float


@dataclass(slots=True)
class Bench:
    """`missing`: why a target that was asked for is not there. `profile_dir`: where samples of the worker go, if anywhere."""

    stage: Stage
    generator: Generator
    upstream_port: int
    targets: tuple[Target, ...]
    scale: Scale
    missing: Mapping[Name, str] = field(default_factory=dict)
    profile_dir: Path | None = None
    faults: list[str] = field(default_factory=list)
    watched_us: float = 0.0
    foreign_us: float = 0.0

    def target(self, name: Name) -> Target | None:
        return next((each for each in self.targets if each.name is name), None)

    def rounds(self, count: int) -> Iterator[Target]:
        for number in range(count):
            yield from self.targets if number % 2 == 0 else reversed(self.targets)

    def run(self, target: Target, job: Job) -> Run:
        """Run a job against a target and watch its worker, and whoever else is on its core, meanwhile."""
        cpu, busy, began = self._worker_cpu(target), busy_us(self.stage.measured), time.monotonic()
        tally = self.generator.run(job)
        cpu, busy = self._worker_cpu(target) - cpu, busy_us(self.stage.measured) - busy
        self.watched_us += (time.monotonic() - began) * 1e6
        self.foreign_us += busy - cpu
        self.note(target, tally)
        return Run(tally, cpu)

    def note(self, target: Target, tally: Tally) -> None:
        self.faults += [f"{target.name}: {count} x {fault}" for fault, count in tally.faults.items()]

    def warm_up(self) -> None:
        """A few requests each way, so that no first look-up, import or connection is in a figure."""
        for target in self.targets:
            for streamed in (False, True):
                events = {EVENTS_HEADER: "3"} if streamed else {}
                job = messages(target, SMALL, streamed=streamed, headers=events)
                self.note(target, self.generator.run(replace(job, shape=Shape.SEQUENTIAL, count=20)))

    def collect(self) -> tuple[tuple[str, ...], float | None]:
        """(faults, per cent of the measured core's time that others took) since the last call."""
        faults = tuple(self.faults)
        foreign = max(0.0, 100 * self.foreign_us / self.watched_us) if self.watched_us else None
        self.faults.clear()
        self.watched_us = self.foreign_us = 0.0
        return faults, foreign

    def absent_rows(self, columns: int) -> list[tuple[Cell, ...]]:
        return [(name, why, *[None] * (columns - 2)) for name, why in self.missing.items()]

    def _worker_cpu(self, target: Target) -> float:
        return cpu_us(target.worker) if target.worker else 0.0


def messages(target: Target, body_bytes: int, *, streamed: bool, headers: Mapping[str, str]) -> Job:
    """A job of POST /v1/messages against a target; the caller fills in its shape."""
    path = target.prefix + MESSAGES_PATH
    return Job(shape=Shape.SEQUENTIAL, port=target.port, target=path, body_bytes=body_bytes, streamed=streamed, headers=headers)


def streams(target: Target, body_bytes: int, events: int, interval_ms: int) -> Job:
    headers = {EVENTS_HEADER: str(events), INTERVAL_HEADER: str(interval_ms)}
    return messages(target, body_bytes, streamed=True, headers=headers)


def added(rounds: Mapping[Name, Sequence[Sequence[float]]], name: Name, percent: float) -> Figure | None:
    """A target's percentile less the direct call's of the same round."""
    pairs = zip(rounds.get(name, ()), rounds.get(Name.DIRECT, ()), strict=False)
    return Figure.of([percentile(mine, percent) - percentile(direct, percent) for mine, direct in pairs if mine and direct])


def pooled(rounds: Sequence[Sequence[float]]) -> list[float]:
    return [sample for samples in rounds for sample in samples]
