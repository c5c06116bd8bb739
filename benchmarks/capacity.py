"""What so many developers need: tasks, database, connections, traffic and money, from measured figures and stated assumptions.

`python -m benchmarks.capacity` prints the tables of docs/scaling.md. A small model on paper: nothing in it was run at these
sizes. Knows no AWS but the prices in ecs/prices.json, which says whence they are. Invariant: every number is either measured
here (`Measured`, from docs/performance.md), assumed in the open (`Developer`), or a price of that file (`Prices`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

SIZES = (100, 1_000, 10_000, 100_000)
PRICES = Path(__file__).resolve().parent.parent / "ecs" / "prices.json"
_HOURS = 730  # a month
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Measured:
    """One worker on one core of the machine in docs/performance.md."""

    request_ms: float = 0.84  # CPU of a 100 KB request on its way to the Plan, whole
    event_us: float = 48.7  # CPU of one relayed event
    idle_mb: float = 91.6
    stream_kb: float = 41.4  # of memory, held by one open stream
    records_s: float = 2_840.0  # into PostgreSQL by one of its cores: 250 records with their sums in 88 ms
    fargate_speed: float = 0.5  # assumed share of that core's speed which a Fargate vCPU has


@dataclass(frozen=True, slots=True)
class Developer:
    """Assumed, at the busiest hour; a month has `hours` such hours' worth of traffic."""

    active: float = 0.3  # of all developers at the same time
    messages_min: float = 4.0
    counts_min: float = 8.0  # count_tokens: 27 at once, now and then
    stream_s: float = 20.0
    events_s: float = 15.0  # of a stream while it runs
    request_kb: float = 90.0
    answer_kb: float = 40.0
    hours: float = 120.0


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars, and where and when they were that. Those without a time are for a month."""

    region: str
    written: str
    source: str
    usd: dict[str, float]


def load_prices(path: Path = PRICES) -> Prices:
    return Prices(**json.loads(path.read_text()))


@dataclass(frozen=True, slots=True)
class Task:
    """What the templates call medium: one vCPU, 2 GB, two workers."""

    vcpu: float = 1.0
    gb: float = 2.0
    workers: int = 2
    connections: int = 10
    busy: float = 0.6  # of its CPU at the busiest hour; scaling out begins at 0.7


@dataclass(frozen=True, slots=True)
class Need:
    """`cpu` in cores of the measured kind; `acu` at the busiest hour, of one instance; traffic a month through NAT."""

    developers: int
    streams: int
    requests_s: float
    events_s: float
    cpu: float
    tasks: int
    memory_mb: float
    connections: int
    acu: float
    records_day: float
    database_gb: float
    nat_gb: float
    usd: dict[str, float]

    @property
    def usd_month(self) -> float:
        return sum(self.usd.values())


def need_of(
    developers: int,
    measured: Measured = Measured(),
    each: Developer = Developer(),
    task: Task = Task(),
    prices: Prices | None = None,
) -> Need:
    """The model. Peak hour for what must be there, the month for what is paid by use. Prices: the file's unless given."""
    active = developers * each.active
    messages_s, counts_s = active * each.messages_min / 60, active * each.counts_min / 60
    streams = messages_s * each.stream_s
    events_s = streams * each.events_s
    cpu = ((messages_s + counts_s) * measured.request_ms / 1e3) + events_s * measured.event_us / 1e6
    tasks = max(2, ceil(cpu / measured.fargate_speed / (task.vcpu * task.busy)))
    memory = task.workers * measured.idle_mb + streams / tasks * measured.stream_kb / 1e3
    records_s = messages_s + counts_s
    records_day = records_s * 3600 * each.hours / 30
    database_gb = records_day * 30 * 1.2e3 / _GB
    polling = tasks * task.workers * 2 * 0.0003  # two small queries a worker and second
    acu = max(0.5, (records_s / measured.records_s + polling) / measured.fargate_speed * 4)
    gigabytes = (messages_s * (each.request_kb + each.answer_kb) + counts_s * each.request_kb) * 1e3 * 3600 * each.hours / _GB
    usd = _bill(tasks, acu, database_gb, gigabytes, records_day, (task, (prices or load_prices()).usd))
    return Need(
        developers=developers,
        streams=round(streams),
        requests_s=messages_s + counts_s,
        events_s=events_s,
        cpu=cpu,
        tasks=tasks,
        memory_mb=memory,
        connections=tasks * task.connections,
        acu=acu,
        records_day=records_day,
        database_gb=database_gb,
        nat_gb=gigabytes,
        usd=usd,
    )


def _bill(
    tasks: int, acu: float, database_gb: float, gigabytes: float, records_day: float, of: tuple[Task, dict[str, float]]
) -> dict[str, float]:
    """A month. Tasks and ACU above the least are there for a third of it: nights and weekends are quiet.

    What comes in by NAT goes out to developers, and the other way round: as many bytes leave AWS as pass NAT.
    """
    task, price = of
    mean_tasks, mean_acu = 2 + (tasks - 2) / 3, 0.5 + (acu - 0.5) / 3
    capacity_units = max(1.0, gigabytes / _HOURS)  # one for each GB an hour
    writes = records_day * 30 / 250 * 12 / 1e6 + records_day * 30 * 8 / 1e6
    kept = database_gb * price["database_gb"] + writes * price["database_io_million"]
    return {
        "tasks": mean_tasks * _HOURS * (task.vcpu * price["vcpu_hour"] + task.gb * price["gb_hour"]),
        "database": 2 * mean_acu * _HOURS * price["acu_hour"] + kept,
        "NAT": 2 * _HOURS * price["nat_hour"] + gigabytes * price["nat_gb"],
        "traffic out": gigabytes * price["out_gb"],
        "balancer": _HOURS * price["balancer_hour"] + capacity_units * _HOURS * price["lcu_hour"],
        "logs": records_day * 30 * 0.9e3 / _GB * price["log_gb"],
        "other": _other(records_day * 30 / 1e6, price),
    }


def _other(millions: float, price: dict[str, float]) -> float:
    """The rest of the table in ecs/README.md: addresses, web firewall, key and secrets, metrics, alarms, dashboard."""
    addresses = 4 * _HOURS * price["address_hour"]
    firewall = price["firewall_list"] + 4 * price["firewall_rule"] + millions * price["firewall_million"]
    watching = 90 * price["metric"] + 20 * price["alarm"] + price["dashboard"]
    return addresses + firewall + price["kms_key"] + 4 * price["secret"] + watching


def load_table(needs: Sequence[Need]) -> str:
    """Markdown: what comes in at the busiest hour, and what it takes."""
    columns: tuple[tuple[str, Callable[[Need], str]], ...] = (
        ("developers", lambda need: f"{need.developers:,}"),
        ("streams", lambda need: f"{need.streams:,}"),
        ("requests/s", lambda need: f"{need.requests_s:,.0f}"),
        ("events/s", lambda need: f"{need.events_s:,.0f}"),
        ("cores of ours", lambda need: f"{need.cpu:.2f}"),
        ("tasks", lambda need: f"{need.tasks}"),
        ("MB a task", lambda need: f"{need.memory_mb:,.0f}"),
        ("connections", lambda need: f"{need.connections:,}"),
        ("ACU", lambda need: f"{need.acu:.1f}"),
        ("records a day", lambda need: f"{need.records_day:,.0f}"),
        ("database GB", lambda need: f"{need.database_gb:,.1f}"),
        ("NAT GB a month", lambda need: f"{need.nat_gb:,.0f}"),
    )
    head = f"| {' | '.join(name for name, _ in columns)} |"
    rows = [f"| {' | '.join(write(need) for _, write in columns)} |" for need in needs]
    return "\n".join([head, "|" + "---|" * len(columns), *rows])


def money_table(needs: Sequence[Need]) -> str:
    """Markdown: US dollars a month, to two figures: the prices are no better."""
    names = list(needs[0].usd)
    head = f"| developers | {' | '.join(names)} | in all | a developer |"
    rows = [
        f"| {need.developers:,} | {' | '.join(_rough(need.usd[name]) for name in names)} | {_rough(need.usd_month)} | "
        f"{_rough(need.usd_month / need.developers)} |"
        for need in needs
    ]
    return "\n".join([head, "|" + "---|" * (len(names) + 3), *rows])


def _rough(usd: float) -> str:
    """Two figures that count: 323 is 320, 0.4567 is 0.46."""
    rounded = float(f"{usd:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def main() -> None:
    needs, prices = [need_of(developers) for developers in SIZES], load_prices()
    print(
        f"{load_table(needs)}\n\nUS dollars a month, {prices.region}, {prices.written}. {prices.source}\n\n{money_table(needs)}"
    )


if __name__ == "__main__":
    main()
