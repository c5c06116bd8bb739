"""How a worker hears of changes that another made: a counter for each kind of thing, one row, polled.

Knows what may change, not what it means. Invariant: who changes something adds 1 in the same transaction, so whoever sees
the new number sees the change; every listener hears of every number it has not heard of, at least once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Literal

from sqlalchemy import Connection, select, update

from core.db import Database, DatabaseAway
from core.models import revisions
from core.threads import Running, sleep, spawn

log = logging.getLogger(__name__)

Kind = Literal["grants", "circuits", "prices", "repairs", "models"]
Listener = Callable[[Kind], None]

_KINDS: tuple[Kind, ...] = ("grants", "circuits", "prices", "repairs", "models")


def bump(connection: Connection, kind: Kind) -> int:
    """Tell every worker, once this transaction is committed, that something of this kind changed. Returns its new number.

    Locks the row until then: bumped first, it also makes such changes wait for each other (limits are counted safely).
    """
    column = revisions.c[kind]
    changed = connection.execute(update(revisions).where(revisions.c.id == 1).values({column: column + 1}).returning(column))
    return int(changed.scalar_one())


def current(connection: Connection) -> dict[Kind, int]:
    """The number of each kind."""
    row = connection.execute(select(revisions).where(revisions.c.id == 1)).one()
    return {kind: int(row._mapping[kind]) for kind in _KINDS}


class Tick:
    """Looks at the row every `period_s` and calls `on_change(kind)` of every listener for what changed.

    The first look reports every kind: nobody has heard of anything yet. A listener that raises is called again at the
    next look. While the database is away it goes on looking.
    """

    def __init__(
        self,
        database: Database,
        period_s: float,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = sleep,
    ) -> None:
        self._database = database
        self._period_s = period_s
        self._clock = clock
        self._pause = pause
        self._heard: list[tuple[Listener, dict[Kind, int]]] = []
        self._away_since: float | None = None
        self._running: Running | None = None
        self._stopping = False

    @property
    def database_away_since(self) -> float | None:
        """By the injected clock; None while the database answers."""
        return self._away_since

    def listen(self, on_change: Listener) -> None:
        """`on_change` runs in the tick's greenlet; others wait for it."""
        self._heard.append((on_change, {}))

    def start(self) -> None:
        self._running = spawn(self.run)

    def stop(self) -> None:
        """Stops at once, a look in progress included. Idempotent."""
        self._stopping = True
        if self._running is not None:
            self._running.stop(0)

    def run(self) -> None:
        """Looks until stopped."""
        while not self._stopping:
            self.look()
            self._pause(self._period_s)

    def look(self) -> None:
        """One look; never raises."""
        try:
            found = self._database.read(current)
        except DatabaseAway as error:
            self._note_away(error)
            return
        except Exception:
            log.exception("the tick could not read its row")
            return
        self._note_back()
        for on_change, heard in self._heard:
            for kind in _KINDS:
                if heard.get(kind) != found[kind] and _told(on_change, kind):
                    heard[kind] = found[kind]

    def _note_away(self, error: DatabaseAway) -> None:
        if self._away_since is None:
            self._away_since = self._clock()
            log.error("the database is away: %s", error)

    def _note_back(self) -> None:
        if self._away_since is not None:
            log.warning("the database is back after %.1f s", self._clock() - self._away_since)
            self._away_since = None


def _told(on_change: Listener, kind: Kind) -> bool:
    try:
        on_change(kind)
    except Exception:  # one listener's trouble must not stop the others, nor the tick
        log.exception("a listener could not take up a change of %s", kind)
        return False
    return True
