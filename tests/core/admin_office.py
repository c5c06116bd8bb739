"""What the tests of administrators do again and again, on a real database and a clock that they drive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pyotp

from core import admins, second_factor
from core.actor import Actor, Role
from core.admin_sessions import Caller
from core.admins import Admin
from core.api_tokens import NewToken, issue_token
from core.credentials import Credentials
from core.db import Database
from tests.core.office import NOW, SERVER_SECRET

JWT_SECRET = "a signing secret for tests, not for use; so long that every algorithm likes it"
HASH = "$2b$04$" + "." * 53
HERE = Caller("203.0.113.9", "a browser")


class AdminOffice:
    """Admins, and what they sign in with."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now: datetime = NOW
        self.credentials = self.worker()

    def worker(self, database: Database | None = None, **changes: Any) -> Credentials:
        """Another worker on the same database."""
        given = {"jwt_secret": JWT_SECRET, "requires_totp": False, **changes}
        return Credentials(database or self.database, SERVER_SECRET, now=lambda: self.now, **given)

    def run(self, act: Callable[..., Any], *arguments: Any) -> Any:
        return self.database.run(lambda c: act(c, *arguments))

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def add(self, name: str = "ann", role: Role = Role.OWNER) -> Admin:
        admin: Admin = self.run(admins.add_admin, name, role, HASH, self.now)
        return admin

    def found(self, name: str) -> Admin:
        return self.database.read(lambda c: admins.find_admin(c, name))

    def sign_in(self, admin: Admin) -> str:
        return self.database.run(lambda c: self.credentials.begin_session(c, admin.id, HERE)).token

    def jwt(self, admin: Admin) -> str:
        return self.database.run(lambda c: self.credentials.begin_jwt(c, admin.id, HERE)).token

    def api_token(self, admin: Admin, role: Role = Role.VIEWER, **span: float) -> str:
        new = NewToken("ci", role, self.now + timedelta(**(span or {"days": 30})))
        return str(self.run(issue_token, admin.id, new, SERVER_SECRET, self.now).token)

    def by_cookie(self, token: str) -> Actor | None:
        found = self.credentials.of_cookie(token, HERE.address)
        return found and found.actor

    def by_bearer(self, token: str) -> Actor | None:
        return self.credentials.of_bearer(token, HERE.address)

    def enrol(self, admin: Admin) -> tuple[str, tuple[str, ...]]:
        """The secret of a second factor that is on from now, and the recovery codes."""
        secret = second_factor.new_secret()
        code = pyotp.TOTP(secret).at(self.now)
        return secret, self.run(second_factor.turn_on, admin.id, secret, code, SERVER_SECRET, self.now)
