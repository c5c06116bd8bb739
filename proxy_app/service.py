"""The running proxy of one worker: what has to be started, drained and stopped, in which order.

Invariant: nothing runs before `start()`; after `drain()` every stream ends within seconds; `close()` leaves every finished
request in the ledger or, with the database away, in the spool for the next worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from core.db import Database
from core.revision import Kind, Tick
from core.threads import sleep, spawn
from proxy_app.circuit_sharing import CircuitSharing
from proxy_app.directory import Directory
from proxy_app.hangup import LiveCalls
from proxy_app.http_pool import HttpPool
from proxy_app.readiness import Readiness
from proxy_app.recorder import Recorder

log = logging.getLogger(__name__)

_WATCH_S = 0.2


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service keeps running."""

    directory: Directory
    sharing: CircuitSharing
    recorder: Recorder
    live: LiveCalls
    pool: HttpPool
    tick: Tick
    database: Database
    readiness: Readiness


class Service:
    """A WSGI callable with a life. `drain_s`: from the worker's end being asked for to the end of what still streams."""

    def __init__(self, app: Callable[..., Iterable[bytes]], parts: Parts, drain_s: float, tick_s: float) -> None:
        self._app = app
        self._parts = parts
        self._drain_s = drain_s
        self._tick_s = tick_s
        self._closing = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self._app(environ, start_response)

    def start(self, is_alive: Callable[[], bool]) -> None:
        """Starts the greenlets. `is_alive` turns False when the server wants this worker to end."""
        parts = self._parts
        parts.tick.listen(self._changed)
        parts.tick.start()
        parts.recorder.start()
        parts.readiness.started()
        spawn(self._share_circuits)
        spawn(lambda: self._watch(is_alive))

    def _changed(self, kind: Kind) -> None:
        if kind == "grants":
            self._parts.directory.refresh()

    def _share_circuits(self) -> None:
        """What changed here goes out before what changed elsewhere comes in; one greenlet does both, and never gives up."""
        while not self._closing:
            sleep(self._tick_s)
            try:
                self._parts.sharing.publish()
                self._parts.sharing.absorb()
            except Exception:
                log.exception("circuits could not be shared")

    def _watch(self, is_alive: Callable[[], bool]) -> None:
        while is_alive():
            sleep(_WATCH_S)
        self._parts.readiness.draining()
        left_s = self._drain_s
        while left_s > 0 and len(self._parts.live):
            sleep(_WATCH_S)
            left_s -= _WATCH_S
        ended = self._parts.live.drain()
        log.info("drained", extra={"context": {"streams_ended": ended}})

    def close(self) -> None:
        """The worker's last act; bounded by the recorder's 5 s."""
        self._closing = True
        parts = self._parts
        parts.tick.stop()
        parts.recorder.close()
        parts.sharing.publish()
        parts.pool.close()
        parts.database.close()
