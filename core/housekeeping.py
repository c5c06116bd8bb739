"""The day's chores that one worker of all does: deleting what was kept long enough.

Knows when, not what goes. Invariants: of all workers of all tasks one does it a day, and another one an hour later if that one
dies with it; never in the way of a request; no error ends it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from core import idempotency, retention
from core.db import Database, DatabaseAway
from core.retention import Kept
from core.threads import Running, sleep, spawn

log = logging.getLogger(__name__)

LOOK_S = 600.0
DAY = timedelta(days=1)
_CLAIMED_S = 3600.0

Chore = Callable[[datetime], None]  # done once a day after the purge, by one worker of all; must not raise


class Housekeeper:
    """One a worker. `now` is aware UTC; `chance` gives 0 to 1, so that workers that start together do not look together."""

    def __init__(
        self,
        database: Database,
        all_kept: Sequence[Kept],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        pause: Callable[[float], None] = sleep,
        chance: Callable[[], float] = random.random,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._database = database
        self._all_kept = all_kept
        self._now = now
        self._pause = pause
        self._chance = chance
        self._chores = chores
        self._running: Running | None = None
        self._stopping = False

    def start(self) -> None:
        self._running = spawn(self.run)

    def run(self) -> None:
        """Looks every five to ten minutes, until stopped."""
        while not self._stopping:
            self._pause(LOOK_S * (0.5 + 0.5 * self._chance()))
            self.look()

    def look(self) -> None:
        """Does what is due and nobody else's; never raises."""
        try:
            now = self._now()
            if not self._database.run(lambda connection: retention.claim(connection, now, _CLAIMED_S)):
                return
            purged = {kept.name: self._purge(kept, now) for kept in self._all_kept}
            self._database.run(lambda connection: idempotency.purge(connection, now))
            self._database.run(lambda connection: retention.put_off(connection, now + DAY))
            if gone := {name: rows for name, rows in purged.items() if rows}:
                log.info("what was kept long enough was deleted", extra={"context": {"purged": gone}})
            for chore in self._chores:
                chore(now)
        except DatabaseAway as error:
            log.warning("housekeeping has to wait: %s", error)
        except Exception:
            log.exception("housekeeping failed")

    def _purge(self, kept: Kept, now: datetime) -> int:
        """One table that fails does not keep the others. Raises DatabaseAway."""
        try:
            return retention.purge(self._database, kept, now, self._pause)
        except DatabaseAway:
            raise
        except Exception:
            log.exception("old rows could not be deleted", extra={"context": {"table": kept.name}})
            return 0

    def stop(self) -> None:
        """At once, also in the middle: the next one goes on. Idempotent."""
        self._stopping = True
        if self._running is not None:
            self._running.stop(0)
