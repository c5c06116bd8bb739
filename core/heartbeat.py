"""Workers tell the database that they live and how they are, so that whoever asks any of them sees all (the dashboard).

Knows rows, not what a worker does: its load is asked of a function. Invariants: a beat never fails a request and never
raises; who ended in good order leaves no row, who was killed leaves one that goes silent and is swept away by the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, select

from core.db import Database, DatabaseAway, upsert
from core.models import workers
from core.threads import Running, sleep, spawn
from core.version import VERSION

log = logging.getLogger(__name__)

LOOK_S = 1.0
LOOKS_A_BEAT = 10
SILENT_AFTER = timedelta(seconds=3 * LOOKS_A_BEAT * LOOK_S)
KEPT_FOR = timedelta(hours=1)  # a worker that was killed stays in sight for so long
_MOST_LISTED = 50
_WITHDRAW_S = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """How a worker is now. `state` is readiness's word; `plan` what the worker-wide Plan circuit says ("closed" is fine).

    `streams` are requests in flight, `waiting` records not in the ledger yet, `lost` those that never will be.
    """

    state: str
    plan: str = "closed"
    streams: int = 0
    waiting: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """Who a worker is."""

    id: str
    host: str
    pid: int
    started_at: datetime
    version: str = VERSION


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    worker: Worker
    load: Load
    seen_at: datetime

    def is_silent(self, now: datetime) -> bool:
        return now - self.seen_at > SILENT_AFTER


class Heartbeat:
    """One a worker. `now` is aware UTC."""

    def __init__(
        self,
        database: Database,
        worker: Worker,
        load: Callable[[], Load],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        pause: Callable[[float], None] = sleep,
    ) -> None:
        self._database = database
        self._worker = worker
        self._load = load
        self._now = now
        self._pause = pause
        self._running: Running | None = None
        self._stopping = False
        self._is_written = False

    def seen(self) -> WorkerSeen:
        """This worker, now, without asking the database."""
        return WorkerSeen(self._worker, self._load(), self._now())

    def start(self) -> None:
        self._running = spawn(self.run)

    def run(self) -> None:
        """Beats until stopped: every tenth look, and at once when its state is another one."""
        looks, told = 0, ""
        while not self._stopping:
            seen = self.seen()
            if looks % LOOKS_A_BEAT == 0 or seen.load.state != told:
                self.beat()
                told = seen.load.state
            looks += 1
            self._pause(LOOK_S)

    def beat(self) -> None:
        """One beat; never raises."""
        try:
            seen = self.seen()
            self._database.run(lambda connection: _write(connection, seen))
            self._is_written = True
        except DatabaseAway:
            self._is_written = False  # the tick says so already
        except Exception:
            log.exception("a worker could not say how it is")

    def stop(self) -> None:
        """Stops, and takes the row away if the database answered lately: within a second, or not. Idempotent; never raises."""
        self._stopping = True
        if self._running is not None:
            self._running.stop(0)
        if self._is_written:
            self._is_written = False
            spawn(self._withdraw).stop(_WITHDRAW_S)

    def _withdraw(self) -> None:
        try:
            self._database.run(lambda connection: connection.execute(delete(workers).where(workers.c.id == self._worker.id)))
        except DatabaseAway as away:
            log.warning("a worker's row stays behind until others sweep it away: %s", away)


def list_workers(connection: Connection) -> list[WorkerSeen]:
    """The last seen first; of workers that die again and again only so many."""
    rows = connection.execute(select(workers).order_by(workers.c.seen_at.desc(), workers.c.id).limit(_MOST_LISTED))
    return [
        WorkerSeen(
            Worker(row.id, row.host, row.pid, row.started_at, row.version),
            Load(row.state, row.plan, row.streams, row.waiting, row.lost),
            row.seen_at,
        )
        for row in rows
    ]


def _write(connection: Connection, seen: WorkerSeen) -> None:
    worker, load = seen.worker, seen.load
    who = {"id": worker.id, "host": worker.host[:200], "pid": worker.pid, "version": worker.version[:40]}
    how = {"state": load.state[:20], "plan": load.plan[:100], "streams": load.streams, "waiting": load.waiting, "lost": load.lost}
    times = {"started_at": worker.started_at, "seen_at": seen.seen_at}
    connection.execute(delete(workers).where(workers.c.seen_at < seen.seen_at - KEPT_FOR))
    upsert(connection, workers, [{**who, **how, **times}], ["id"])
