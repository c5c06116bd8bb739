"""The managed owner in a worker: written down at its start, and let in by the settings alone while the database is away.

Knows the settings' name and hash, no HTTP. Invariant: nobody is asked who they are before the row agrees with the settings.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from datetime import datetime

from admin_app.password_queue import PasswordQueue
from core.db import Database, DatabaseAway
from core.managed_owner import ensure_managed_owner
from core.threads import Running, sleep, spawn

log = logging.getLogger(__name__)

_AGAIN_S = 2.0


class Owner:
    """`password_hash` is empty where no password was ever made; then there is no managed owner. `now` is aware UTC."""

    def __init__(self, username: str, password_hash: str, database: Database, now: Callable[[], datetime]) -> None:
        self.username = username
        self.password_hash = password_hash
        self._database = database
        self._now = now
        self._is_written = not password_hash
        self._running: Running | None = None
        self._stopping = False

    @property
    def is_set_up(self) -> bool:
        return bool(self.password_hash)

    def ensure(self) -> None:
        """Once a worker: a later start with another hash must not be undone by this one. Raises DatabaseAway."""
        if not self._is_written:
            self._database.run(lambda c: ensure_managed_owner(c, self.username, self.password_hash, self._now()))
            self._is_written = True

    def start(self) -> None:
        """Beside the worker's requests, until the database has it."""
        self._running = spawn(self._keep_trying)

    def stop(self) -> None:
        self._stopping = True
        if self._running is not None:
            self._running.stop(0)

    def is_right(self, username: str, password: str, queue: PasswordQueue) -> bool:
        """By the settings alone. As slow for a wrong name as for a wrong password. Raises Busy."""
        is_password = self.is_set_up and queue.check(password, self.password_hash)
        return hmac.compare_digest(username.encode(), self.username.encode()) and is_password

    def _keep_trying(self) -> None:
        while not self._stopping and not self._is_written:
            try:
                self.ensure()
            except DatabaseAway:
                sleep(_AGAIN_S)
            except Exception:
                log.exception("the managed owner could not be written down")
                return
