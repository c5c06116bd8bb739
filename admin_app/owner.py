"""The managed owner: the one admin account that settings (or, in `local`, the first start) define.

Knows bcrypt's cost, not HTTP. Invariants: a wrong user name takes as long as a wrong password; no more checks wait than can
be answered soon, whoever sends them; the event loop never waits for one.
"""

from __future__ import annotations

import hmac

from core.crypto import check_password
from core.threads import NativeThread

_MOST_WAITING = 8  # at 0.25 s each, one after the other


class Busy(Exception):
    """Too many checks wait already."""


class Owner:
    """`password_hash` is empty where no password was ever made; then nobody can sign in."""

    def __init__(self, username: str, password_hash: str) -> None:
        self.username = username
        self.password_hash = password_hash
        self._thread = NativeThread()
        self._waiting = 0

    @property
    def is_set_up(self) -> bool:
        return bool(self.password_hash)

    def check(self, username: str, password: str) -> bool:
        """Whether both are right. Blocks the calling greenlet for some 0.25 s. Raises Busy."""
        if self._waiting >= _MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            is_password = self._thread.run(lambda: check_password(password, self.password_hash))
        finally:
            self._waiting -= 1
        return hmac.compare_digest(username.encode(), self.username.encode()) and is_password

    def close(self) -> None:
        self._thread.close()
