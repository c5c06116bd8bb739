"""What a request of an admin comes with, into who it is: one question for cookies, one for bearer tokens (SPEC section 11).

Knows the database's door and the secrets, no HTTP. Invariants: a credential is looked up at every request, so that one that
was ended is refused by every worker at once; when it was last used is written at most once a minute, and never in the way of
the answer; who does not exist, has expired, was revoked or disabled is None, all alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from core import admin_sessions, api_tokens
from core.actor import Actor
from core.admin_jwt import Claims, read_jwt, write_jwt
from core.admin_sessions import Caller, Kind, SignedIn, digest_of
from core.crypto import new_session_token
from core.db import Database, DatabaseAway
from core.ids import new_id

log = logging.getLogger(__name__)

_API_TOKEN_PREFIX = "cpt_"
_MOST_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Issued:
    """A new session and the text that stands for it, which exists nowhere else."""

    session: admin_sessions.Session
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """One a worker. `requires_totp`: who has no second factor is nobody to the API, and may only set one up in a browser."""

    database: Database
    server_secret: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    requires_totp: bool
    now: Callable[[], datetime]

    def of_cookie(self, token: str, address: str) -> SignedIn | None:
        """Whom a session's token signs in. Raises DatabaseAway."""
        digest, now = digest_of(self.server_secret, Kind.SESSION, token), self.now()
        return self._noted(self.database.read(lambda c: admin_sessions.find(c, digest, Kind.SESSION, address, now)), address)

    def of_bearer(self, token: str, address: str) -> Actor | None:
        """Whom a JWT or an API token stands for. Raises DatabaseAway."""
        if len(token) > _MOST_CHARS:
            return None
        found = self._api_token(token, address) if token.startswith(_API_TOKEN_PREFIX) else self._jwt(token, address)
        if found is None or (self.requires_totp and not found.has_totp):
            return None
        self._noted(found, address)
        return found.actor

    def begin_session(self, connection: Connection, admin_id: str, caller: Caller) -> Issued:
        """For whoever was just checked. A browser that had a session before gets another (no fixation)."""
        token = new_session_token()
        digest = digest_of(self.server_secret, Kind.SESSION, token)
        return Issued(admin_sessions.begin(connection, admin_id, digest, Kind.SESSION, caller, self.now()), token)

    def begin_jwt(self, connection: Connection, admin_id: str, caller: Caller) -> Issued:
        """For whoever was just checked."""
        session_id, now = new_id("ses"), self.now()
        token = write_jwt(self.jwt_secret, Claims(admin_id, session_id), now, now + admin_sessions.ABSOLUTE)
        how = (Kind.JWT, caller)
        digest = digest_of(self.server_secret, Kind.JWT, token)
        return Issued(admin_sessions.begin_as(connection, session_id, admin_id, digest, how, now), token)

    def confirm(self, connection: Connection, session_id: str) -> str:
        """The password was given again: the session goes on under a new token, which is returned. Raises NotFound."""
        token = new_session_token()
        digest = digest_of(self.server_secret, Kind.SESSION, token)
        admin_sessions.confirm(connection, session_id, digest, self.now())
        return token

    def end_cookie(self, connection: Connection, token: str) -> None:
        admin_sessions.end_token(connection, digest_of(self.server_secret, Kind.SESSION, token), self.now())

    def _api_token(self, token: str, address: str) -> SignedIn | None:
        return self.database.read(lambda c: api_tokens.find(c, token, self.server_secret, address, self.now()))

    def _jwt(self, token: str, address: str) -> SignedIn | None:
        now = self.now()
        claims = read_jwt(self.jwt_secret, token, now)
        if claims is None:
            return None
        digest = digest_of(self.server_secret, Kind.JWT, token)
        found = self.database.read(lambda c: admin_sessions.find(c, digest, Kind.JWT, address, now))
        is_its_row = found is not None and Claims(found.actor.admin_id, found.actor.credential_id) == claims
        return found if is_its_row else None

    def _noted(self, found: SignedIn | None, address: str) -> SignedIn | None:
        if found is None or not found.is_stale:
            return found
        try:
            self.database.run(lambda c: self._note(c, found.actor, address))
        except DatabaseAway as error:  # it could be read a moment ago; the answer does not hang on this
            log.warning("when a session was last used could not be written: %s", error)
        return found

    def _note(self, connection: Connection, actor: Actor, address: str) -> None:
        if actor.via == "api_token":
            api_tokens.note_use(connection, actor.credential_id, address, self.now())
        else:
            admin_sessions.note_use(connection, actor.credential_id, self.now())
