"""Passwords checked and hashed beside the event loop: some 0.25 s each, one after the other.

Knows bcrypt's cost, no account. Invariants: no more wait than can be answered soon, whoever sends them; the event loop never
waits for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from core.crypto import check_password
from core.passwords import hash_new_password
from core.threads import NativeThread

T = TypeVar("T")

_MOST_WAITING = 8


class Busy(Exception):
    """Too many checks wait already."""


class PasswordQueue:
    """One a worker."""

    def __init__(self) -> None:
        self._thread = NativeThread()
        self._waiting = 0
        self.checked = 0  # how many, since the start

    def check(self, password: str, stored: str) -> bool:
        """Blocks the calling greenlet. Raises Busy."""
        self.checked += 1
        return self._wait(lambda: check_password(password, stored))

    def hash_new(self, password: str, username: str) -> str:
        """The hash of a password that this admin may have. Blocks the calling greenlet. Raises Busy, Invalid."""
        return self._wait(lambda: hash_new_password(password, username))

    def close(self) -> None:
        self._thread.close()

    def _wait(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            return self._thread.run(work)
        finally:
            self._waiting -= 1
