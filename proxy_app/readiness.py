"""Whether this worker should get requests, and why not. Pure state, no I/O: `/ready` must answer at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """`serving` False is a 503. `word` is `ready`, `degraded`, `starting` or `draining`."""

    serving: bool
    word: str
    reason: str = ""


class Readiness:
    """`database_away` tells since when (monotonic seconds) the database has been away, or None."""

    def __init__(self, database_away: Callable[[], float | None]) -> None:
        self._database_away = database_away
        self._started = False
        self._draining = False

    def started(self) -> None:
        self._started = True

    def draining(self) -> None:
        self._draining = True

    def state(self) -> State:
        if self._draining:
            return State(False, "draining")
        if not self._started:
            return State(False, "starting")
        if self._database_away() is not None:
            return State(True, "degraded", "the database is away; known keys are served")
        return State(True, "ready")
