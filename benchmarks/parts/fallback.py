"""Part 6: an answer of Bedrock after the Plan refused, against a direct call to the same Bedrock.

Requests are sessions of 200 messages and one more. The Plan's own time (0.1 ms for a refusal) is left in the added figures.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from benchmarks.bench import LARGE, Bench, added, messages, pooled
from benchmarks.figures import Bar, Cell, Section, percentile
from benchmarks.jobs import Job, Shape
from benchmarks.messages import MODEL, PLAN_HEADER
from benchmarks.targets import Name, Target

NAME = "fallback"
_MESSAGES = 201
_COLUMNS = ("target", "answer", "p50 ms", "p95 ms", "p99 ms", "added p50 ms", "added p95 ms")


def run(bench: Bench) -> Section:
    bench.warm_up()
    targets = [target for target in bench.targets if target.name is not Name.NGINX]
    rows: list[tuple[Cell, ...]] = []
    bars: list[Bar] = []
    for streamed in (False, True):
        answer = "stream" if streamed else "JSON"
        rounds: dict[Name, list[list[float]]] = defaultdict(list)
        for number in range(bench.scale.fallback_rounds):
            for target in targets if number % 2 == 0 else reversed(targets):
                job = _job(target, bench.scale.fallback_samples, streamed=streamed)
                rounds[target.name].append([wait / 1000 for wait in bench.run(target, job).tally.first_byte_us])
        for target in targets:
            seen = pooled(rounds[target.name])
            extra = [None if target.name is Name.DIRECT else added(rounds, target.name, percent) for percent in (50, 95)]
            rows.append((target.name, answer, *(percentile(seen, percent) for percent in (50, 95, 99)), *extra))
        figure = added(rounds, Name.PROXY, 95)
        bars += [Bar(f"added latency of a fallback p95, {answer}", figure.median, 15, 15, "ms")] if figure else []
    faults, foreign = bench.collect()
    return Section(
        NAME,
        "Fallback: 100 KB requests of 201 messages, each refused by the Plan (429), then answered by Bedrock",
        _COLUMNS,
        tuple(rows),
        tuple(bars),
        faults=faults,
        foreign_percent=foreign,
    )


def _job(target: Target, count: int, *, streamed: bool) -> Job:
    if target.name is Name.PROXY:
        job = messages(target, LARGE, streamed=streamed, headers={PLAN_HEADER: "refuse"})
        return replace(job, messages=_MESSAGES, count=count, expect="x-proxy-provider: bedrock")
    operation = "invoke-with-response-stream" if streamed else "invoke"
    path = f"/model/global.anthropic.{MODEL}/{operation}"
    job = Job(shape=Shape.SEQUENTIAL, port=target.port, target=path, body_bytes=LARGE, streamed=streamed, bedrock=True)
    return replace(job, messages=_MESSAGES, count=count)
