"""What the metrics ask each second of the parts of a worker: from memory, without waiting.

Knows the parts, and the names of `core/metrics.py` for what they say. Invariant: no credential and no name of a person is among
it; circuits of the Plan have the access key's id, the worker-wide one `*`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.db import Database
from core.log import LineWriter
from core.metrics_report import Sources
from core.revision import Tick
from core.types import ProviderName
from proxy_app.circuits import Circuits
from proxy_app.hangup import LiveCalls
from proxy_app.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Asked:
    """The parts. Database connections of all `databases` count together."""

    recorder: Recorder
    circuits: Circuits
    live: LiveCalls
    tick: Tick
    lines: LineWriter
    databases: Sequence[Database]


def metric_sources(asked: Asked) -> Sources:
    return Sources(_now_of(asked), _totals_of(asked), _open_circuits_of(asked))


def _now_of(asked: Asked) -> Callable[[], dict[str, float]]:
    def now() -> dict[str, float]:
        books = asked.recorder.books
        return {
            "ActiveStreams": len(asked.live),
            "LedgerBacklog": books.records,
            "LedgerBacklogAge": round(books.oldest_s, 1),
            "DatabaseConnections": sum(each.connections_in_use for each in asked.databases),
            "DatabaseAway": float(asked.tick.database_away_since is not None),
        }

    return now


def _totals_of(asked: Asked) -> Callable[[], dict[str, float]]:
    def totals() -> dict[str, float]:
        books = asked.recorder.books
        return {"RecordsLost": books.lost + books.torn, "RecordsSetAside": books.dead, "LogLinesDropped": asked.lines.dropped}

    return totals


def _open_circuits_of(asked: Asked) -> Callable[[], list[tuple[str, str]]]:
    def open_circuits() -> list[tuple[str, str]]:
        plan = ProviderName.PLAN
        return [
            ("access_key_id" if view.name.provider is plan else "bedrock_key_id", view.name.access_key_id)
            for view in asked.circuits.snapshot()
        ]

    return open_circuits
