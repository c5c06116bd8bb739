"""Tokens of the API for the admins of the database: JWTs of a sign-in, and API tokens.

Fulfils `Bearers`; knows rows through Admission and Credentials, no HTTP. Invariants: as of those; a sign-in is in the audit log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from admin_app.admission import MOST_NAME_CHARS, Admission, Attempt
from admin_app.bearers import IssuedBearer
from admin_app.sign_in_notes import SignInNotes
from core import admin_sessions, admins
from core.access import Refused
from core.actor import Actor
from core.admin_sessions import Caller, Kind
from core.credentials import Credentials, Issued

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from core.admins import Admin


@dataclass(frozen=True, slots=True)
class AdminBearers:
    """One a worker."""

    admission: Admission
    credentials: Credentials
    note: SignInNotes

    def sign_in(self, username: str, password: str, totp: str, address: str) -> IssuedBearer:
        """Raises Wrong, TooMany, Busy, DatabaseAway."""

        def begin(connection: Connection, admin: Admin) -> tuple[Admin, Issued]:
            admins.signed_in(connection, admin.id, self.credentials.now())
            return admin, self.credentials.begin_jwt(connection, admin.id, Caller(address, "API"))

        admin, issued = self.admission.admit(Attempt(address, username[:MOST_NAME_CHARS], password, totp), begin)
        session = issued.session
        actor = Actor(admin.id, admin.username, admin.role, Kind.JWT.value, session.id, address, session.created_at)
        self.note("sign_in", actor, {"session": session.id})
        return IssuedBearer(issued.token, session.expires_at)

    def authenticate(self, bearer: str, address: str) -> Actor | None:
        """Raises DatabaseAway."""
        self.admission.owner.ensure()
        return self.credentials.of_bearer(bearer, address)

    def revoke(self, actor: Actor) -> None:
        """Raises Refused, DatabaseAway."""
        if actor.via != Kind.JWT.value:
            raise Refused("only a token that was signed in for ends here; API tokens end on the account's page")
        now = self.credentials.now()
        self.credentials.database.run(lambda c: admin_sessions.end(c, actor.admin_id, actor.credential_id, now))
        self.note("sign_out", actor, {"session": actor.credential_id})
