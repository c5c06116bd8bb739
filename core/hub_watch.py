"""How long the event loop stands still: whoever holds it holds up every stream of its worker.

A greenlet that wants to sleep 100 ms and looks how much longer it was. Knows no metric. Invariant: it costs a switch each
100 ms, and tells the log at most once a minute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from core.threads import Running, sleep, spawn

log = logging.getLogger(__name__)

LOOK_S = 0.1
TOO_LONG_S = 0.25
_TELL_EVERY_S = 60.0


class HubWatch:
    """One a worker. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = sleep) -> None:
        self._clock = clock
        self._pause = pause
        self._worst_s = self._before_s = 0.0
        self._told_at = float("-inf")
        self._running: Running | None = None
        self._stopping = False

    @property
    def worst_ms(self) -> float:
        """The longest since `begin_anew` was called the last time but one: of the last 10 to 20 s."""
        return round(max(self._worst_s, self._before_s) * 1000, 1)

    def begin_anew(self) -> float:
        """The longest since it was called the last time, in ms."""
        self._before_s, self._worst_s = self._worst_s, 0.0
        return round(self._before_s * 1000, 1)

    def start(self) -> None:
        self._running = spawn(self.run)

    def run(self) -> None:
        while not self._stopping:
            self.look()

    def look(self) -> None:
        """One sleep, and what came of it."""
        began = self._clock()
        self._pause(LOOK_S)
        woke = self._clock()
        lag_s = max(0.0, woke - began - LOOK_S)
        self._worst_s = max(self._worst_s, lag_s)
        if lag_s > TOO_LONG_S and woke - self._told_at >= _TELL_EVERY_S:
            self._told_at = woke
            log.warning("the event loop stood still", extra={"context": {"lag_ms": round(lag_s * 1000)}})

    def stop(self) -> None:
        self._stopping = True
        if self._running is not None:
            self._running.stop(0)
