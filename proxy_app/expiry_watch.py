"""Tells administrators in time, by the log, which Bedrock keys end (SPEC section 8).

Knows rows and the log, no requests. Invariant: a key is named at most once a day by each worker; the watch never raises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from core.bedrock_keys import expiry_warning, list_ending
from core.db import Database, DatabaseAway
from core.threads import Running, sleep, spawn

log = logging.getLogger(__name__)

_LOOK_S = 3600.0
_AGAIN_AFTER = timedelta(hours=24)


class ExpiryWatch:
    """One a worker. `now` is aware UTC."""

    def __init__(self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = database
        self._now = now
        self._said: dict[str, datetime] = {}
        self._running: Running | None = None
        self._stopping = False

    def start(self) -> None:
        self._running = spawn(self._run)

    def stop(self) -> None:
        self._stopping = True
        if self._running is not None:
            self._running.stop(0)

    def look(self) -> None:
        """One look; never raises."""
        now = self._now()
        try:
            ending = self._database.read(lambda connection: list_ending(connection, now))
        except DatabaseAway:
            return
        except Exception:
            log.exception("it could not be looked up which Bedrock keys end")
            return
        self._said = {key_id: said for key_id, said in self._said.items() if now - said < _AGAIN_AFTER}
        for each in ending:
            if each.key.id not in self._said:
                self._said[each.key.id] = now
                context = {"bedrock_key_id": each.key.id, "user_id": each.user_id, "reason": expiry_warning(each.expires_at, now)}
                log.warning("a Bedrock key ends", extra={"context": context})

    def _run(self) -> None:
        while not self._stopping:
            self.look()
            sleep(_LOOK_S)
