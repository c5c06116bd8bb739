"""The running proxy of one worker: what has to be started, drained and stopped, in which order.

Invariant: nothing runs before `start()`; after `drain()` every stream ends within seconds; `close()` leaves every finished
request in the ledger or, with the database away, in the spool for the next worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from core.db import Database
from core.heartbeat import Heartbeat
from core.housekeeping import Housekeeper
from core.revision import Kind, Tick
from core.threads import sleep, spawn
from proxy_app.call import Headers
from proxy_app.circuit_sharing import CircuitSharing
from proxy_app.directory import Directory
from proxy_app.hangup import LiveCalls
from proxy_app.http_pool import HttpPool
from proxy_app.lesson_sharing import LessonSharing
from proxy_app.plan_watch import PlanWatch
from proxy_app.readiness import Readiness
from proxy_app.recorder import Recorder
from proxy_app.spending import Spending

log = logging.getLogger(__name__)

_WATCH_S = 0.2
_LAST_WORDS_S = 2.0  # for a client that reads slowly to take the error event
_PUBLISH_S = 1.0
_LAST_CALLS_S = 1.0


class Beside(Protocol):
    """What a worker does beside its requests. Neither method waits for long, or raises."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Shared(Protocol):
    """What workers tell each other. Neither method may raise for a database that is away."""

    def publish(self) -> object: ...

    def absorb(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service keeps running."""

    directory: Directory
    sharing: CircuitSharing
    learning: LessonSharing
    windows: PlanWatch
    spending: Spending
    recorder: Recorder
    live: LiveCalls
    pool: HttpPool
    tick: Tick
    database: Database
    readiness: Readiness
    heartbeat: Heartbeat
    housekeeper: Housekeeper
    reprice: Callable[[], None]
    close_admin: Callable[[], None]
    unreadable: Callable[[int, str], tuple[str, Headers, bytes]]
    beside: tuple[Beside, ...] = ()


class Service:
    """A WSGI callable with a life. `drain_s`: from the worker's end being asked for to the end of what still streams."""

    def __init__(self, app: Callable[..., Iterable[bytes]], parts: Parts, drain_s: float, tick_s: float) -> None:
        self._app = app
        self._parts = parts
        self._drain_s = drain_s
        self._tick_s = tick_s
        self._closing = False
        self._unheard = {"database", "circuits", "repairs", "spend"}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self._app(environ, start_response)

    def start(self, is_alive: Callable[[], bool]) -> None:
        """Starts the greenlets. `is_alive` turns False when the server wants this worker to end."""
        parts = self._parts
        parts.tick.listen(self._changed)
        parts.tick.start()
        parts.recorder.start()
        parts.heartbeat.start()
        parts.housekeeper.start()
        for each in parts.beside:
            each.start()
        spawn(lambda: self._share("circuits", self._tick_s, parts.sharing, parts.windows))
        spawn(lambda: self._share("repairs", self._tick_s, parts.learning))
        # Twice as often, so that all know within a tick what one has reserved.
        spawn(lambda: self._share("spend", self._tick_s / 2, parts.spending))
        spawn(lambda: self._watch(is_alive))

    def unreadable(self, status: int, reason: str) -> tuple[str, Headers, bytes]:
        """For the server: what it says to bytes that are no request. See `ProxyApp.unreadable`."""
        return self._parts.unreadable(status, reason)

    def _changed(self, kind: Kind) -> None:
        """The tick's first look reports every kind: only then has this worker seen its database."""
        self._heard("database")
        if kind == "grants":
            self._parts.directory.refresh()
        elif kind == "repairs":
            self._parts.learning.changed()
        elif kind == "prices":
            self._parts.reprice()

    def _heard(self, source: str) -> None:
        """A worker is ready when it has heard all that its predecessors knew, once."""
        self._unheard.discard(source)
        if not self._unheard:
            self._parts.readiness.started()

    def _share(self, source: str, period_s: float, *all_shared: Shared) -> None:
        """What changed here goes out before what changed elsewhere comes in; one greenlet does both, and never gives up.

        The first look is at once: a worker that starts must not ask what its predecessor knew to be exhausted.
        """
        while not self._closing:
            for shared in all_shared:
                try:
                    shared.publish()
                    shared.absorb()
                except Exception:
                    log.exception("a worker could not share what it knows")
            self._heard(source)
            sleep(period_s)

    def _watch(self, is_alive: Callable[[], bool]) -> None:
        while is_alive():
            sleep(_WATCH_S)
        self._parts.readiness.draining()
        sleep(self._drain_s)  # the process ends before that when nothing is under way any more
        log.info("ending what is under way", extra={"context": {"calls": self._parts.live.drain()}})
        sleep(_LAST_WORDS_S)
        log.info("letting go of who does not read", extra={"context": {"calls": self._parts.live.abandon()}})

    def close(self) -> None:
        """The worker's last act, within seconds also when the database is silent: the recorder's 5 and four more."""
        self._closing = True
        parts = self._parts
        parts.housekeeper.stop()
        self._end_calls()
        parts.recorder.close()
        parts.tick.stop()
        spawn(self._publish).stop(_PUBLISH_S)
        parts.heartbeat.stop()
        for each in parts.beside:
            each.stop()
        parts.close_admin()
        parts.pool.close()
        parts.database.close()
        log.info("stopped", extra={"context": {"calls_left": len(parts.live)}})

    def _end_calls(self) -> None:
        """None is left after a drain. A server that was told to end at once (SIGINT) has some, and they are booked, too."""
        live = self._parts.live
        live.drain()
        left_s = _LAST_CALLS_S
        while left_s > 0 and len(live):
            sleep(_WATCH_S / 10)
            left_s -= _WATCH_S / 10

    def _publish(self) -> None:
        for shared in (self._parts.sharing, self._parts.windows, self._parts.learning):
            try:
                shared.publish()
            except Exception:
                log.exception("a worker could not share what it knows")
