"""Whether somebody is who they say: throttle, password and second factor, in this order (SPEC section 11).

Knows rows and rules, no HTTP: pages and the API ask here. Invariants: no password is checked before the slow-down had its say;
an unknown name, a wrong password, a wrong code and a disabled admin take as long and are the same `Wrong`; a code that was
used up has let somebody in, in one transaction.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, TypeVar

from admin_app.owner import Owner
from admin_app.password_queue import PasswordQueue
from admin_app.throttle import Throttle
from core import admins
from core.admins import Admin, AdminStatus
from core.crypto import CannotOpen, stand_in_hash
from core.db import Database
from core.passwords import MOST_CHARS
from core.second_factor import use_code

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_NAME_CHARS = 200


class Wrong(Exception):
    """Not who they say; which part was wrong nobody learns."""


class TooMany(Exception):
    """Slowed down: `wait_s` whole seconds."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"wait {wait_s} s")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody came with. `device`: the browser's, if it signed in to this account before.

    `code` None: the second factor is not asked for (a session that gave it lately changes its password).
    """

    site: str
    username: str
    password: str = field(repr=False)
    code: str | None = field(repr=False)
    device: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """One a worker. `now` is aware UTC."""

    database: Database
    owner: Owner
    throttle: Throttle
    queue: PasswordQueue
    server_secret: str = field(repr=False)
    now: Callable[[], datetime]

    def admit(self, attempt: Attempt, let_in: Callable[[Connection, Admin], T]) -> T:
        """What `let_in` returns, in the transaction that used the code up. Raises Wrong, TooMany, Busy, DatabaseAway."""
        self._slow_down(attempt)
        self.owner.ensure()
        try:
            result = self._checked(attempt, let_in)
        except Wrong:
            self.throttle.failed(attempt.site, attempt.username, attempt.device)
            raise
        self.throttle.succeeded(attempt.site, attempt.username, attempt.device)
        return result

    def admit_owner(self, attempt: Attempt) -> None:
        """By the settings alone, for while the database is away; `admit` has counted the attempt. Raises Wrong, Busy."""
        if len(attempt.password) > MOST_CHARS or not self.owner.is_right(attempt.username, attempt.password, self.queue):
            self.throttle.failed(attempt.site, attempt.username, attempt.device)
            raise Wrong
        self.throttle.succeeded(attempt.site, attempt.username, attempt.device)

    def _slow_down(self, attempt: Attempt) -> None:
        wait_s = ceil(self.throttle.attempt(attempt.site, attempt.username, attempt.device))
        if wait_s > 0:
            raise TooMany(wait_s)

    def _checked(self, attempt: Attempt, let_in: Callable[[Connection, Admin], T]) -> T:
        login = self.database.read(lambda c: admins.find_login(c, attempt.username))
        stored = login.password_hash if login else stand_in_hash(self.owner.password_hash)
        is_right = len(attempt.password) <= MOST_CHARS and self.queue.check(attempt.password, stored)
        if login is None or not is_right:
            raise Wrong
        return self.database.run(lambda c: self._through(c, attempt, stored, let_in))

    def _through(self, connection: Connection, attempt: Attempt, checked: str, let_in: Callable[[Connection, Admin], T]) -> T:
        login = admins.lock_login(connection, attempt.username)  # again: bcrypt took its time
        if login is None or login.admin.status != AdminStatus.ACTIVE:
            raise Wrong
        if not hmac.compare_digest(login.password_hash, checked):
            raise Wrong
        if attempt.code is not None and not self._is_code_right(connection, login.admin, attempt.code):
            raise Wrong
        return let_in(connection, login.admin)

    def _is_code_right(self, connection: Connection, admin: Admin, code: str) -> bool:
        try:
            return use_code(connection, admin.id, code, self.server_secret, self.now())
        except CannotOpen:
            log.error("a second factor was sealed with another server secret", extra={"context": {"admin_id": admin.id}})
            return False
