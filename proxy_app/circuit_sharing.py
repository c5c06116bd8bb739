"""Carries transitions between the circuits of this worker and the table that all workers share (SPEC section 5).

Knows no rule of circuits and no SQL. While the database is away nothing is lost and nothing fails: transitions wait here,
the latest of each circuit, and circuits work for this worker alone. Invariants: what waits here is newer than any row, so
no row is applied over it; a worker never applies its own rows, except those of an earlier life when it starts.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime

from core import circuit_rows
from core.circuit_rows import CircuitRow
from core.db import Database, DatabaseAway
from core.threads import paced
from core.types import ProviderName
from proxy_app.circuit_names import WORKER_WIDE, CircuitName
from proxy_app.circuit_state import Condition, State
from proxy_app.circuits import Circuits, Transition
from proxy_app.faults import Fault

log = logging.getLogger(__name__)

MOST_WAITING = 20_000
_BATCH = 200
_TIDY_EVERY_S = 3600.0


class CircuitSharing:
    """Call `publish` and then `absorb` at every tick, from one greenlet. `worker_id` differs between living workers."""

    def __init__(self, database: Database, circuits: Circuits, worker_id: str) -> None:
        """From now on every transition of `circuits` waits to be published."""
        self._database = database
        self._circuits = circuits
        self._worker_id = worker_id
        self._waiting: dict[CircuitName, Transition] = {}
        self._seen = 0
        self._has_looked = False
        self._tidied_at = circuits.unix_time()
        circuits.subscribe(self.enqueue)

    @property
    def backlog(self) -> int:
        return len(self._waiting)

    def enqueue(self, transition: Transition) -> None:
        """Never blocks. The worker-wide circuit is this worker's own; a name without room in the table stays local too."""
        name = transition.name
        if name == WORKER_WIDE or not circuit_rows.fits(name.access_key_id, name.family):
            return
        self._waiting[name] = transition
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
            log.warning("too many circuit changes wait for the database; the oldest was dropped")

    def publish(self) -> int:
        """Write what waits. Returns how many circuits were written; the rest waits on when the database is away."""
        written = 0
        with suppress(DatabaseAway):
            while batch := list(self._waiting.values())[:_BATCH]:
                self._write(batch)
                written += len(batch)
            self._tidy()
        return written

    def absorb(self) -> int:
        """Apply what others wrote since the last time; at the first time, all that is open. Returns how many rows."""
        try:
            after, rows = self._database.read(lambda connection: circuit_rows.circuits_since(connection, self._seen))
        except DatabaseAway:
            return 0
        is_start = after == 0 and (self._seen > 0 or not self._has_looked)  # an empty table is no reason to begin anew
        self._has_looked = True
        applied = 0
        for row in paced(rows):
            name = _name(row)
            if (is_start or row.worker != self._worker_id) and name is not None and name not in self._waiting:
                self._circuits.apply(Transition(name, _condition(row)))
                applied += 1
        self._seen = rows[-1].revision if rows else after
        return applied

    def _write(self, batch: list[Transition]) -> None:
        rows = sorted((self._row(transition) for transition in batch), key=lambda row: (row.provider, row.holder, row.family))
        now = _time(self._circuits.unix_time())
        self._database.run(lambda connection: circuit_rows.write_circuits(connection, rows, now))
        for transition in batch:
            if self._waiting.get(transition.name) is transition:
                del self._waiting[transition.name]

    def _tidy(self) -> None:
        now = self._circuits.unix_time()
        if now - self._tidied_at >= _TIDY_EVERY_S:
            self._database.run(lambda connection: circuit_rows.delete_stale(connection, _time(now)))
            self._tidied_at = now

    def _row(self, transition: Transition) -> CircuitRow:
        name, condition = transition.name, transition.condition
        return CircuitRow(
            provider=name.provider.value,
            holder=name.access_key_id,
            family=name.family,
            state=circuit_rows.CLOSED if condition.state is State.CLOSED else circuit_rows.OPEN,
            fault=condition.fault.value if condition.fault else "",
            credential=condition.credential,
            generation=condition.generation,
            opened_at=_maybe_time(condition.opened_at),
            until=_maybe_time(condition.until),
            probe_at=_maybe_time(condition.probe_at),
            backoff_s=condition.backoff_s,
            worker=self._worker_id,
        )


def _name(row: CircuitRow) -> CircuitName | None:
    """None for an upstream that only a newer release knows."""
    with suppress(ValueError):
        return CircuitName(row.holder, ProviderName(row.provider), row.family)
    return None


def _condition(row: CircuitRow) -> Condition:
    return Condition(
        state=State.CLOSED if row.state == circuit_rows.CLOSED else State.OPEN,
        fault=_fault(row.fault),
        generation=row.generation,
        opened_at=_maybe_unix(row.opened_at),
        until=_maybe_unix(row.until),
        probe_at=_maybe_unix(row.probe_at),
        backoff_s=row.backoff_s,
        credential=row.credential,
    )


def _fault(value: str) -> Fault | None:
    """A fault that only a newer release knows keeps a circuit open as well."""
    with suppress(ValueError):
        return Fault(value)
    return None


def _time(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


def _maybe_time(unix: float | None) -> datetime | None:
    return None if unix is None else _time(unix)


def _maybe_unix(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
