"""Tokens of the API for the one owner that the settings define, as their sessions are: signed, with nothing in the database.

Knows no HTTP. Invariants: as of session.py; a cookie is no bearer and a bearer no cookie; a token that was ended is good no
more in this worker. For all workers only a new password ends it, until admins and their sessions are rows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from math import ceil

from admin_app.bearers import IssuedBearer, TooMany, Wrong
from admin_app.owner import Owner
from admin_app.session import SESSION_S, Sessions
from admin_app.throttle import Throttle
from core.access import Refused
from core.actor import Actor, Role
from core.cache import Cache

_MOST_NAME_CHARS, _MOST_PASSWORD_CHARS = 200, 1024
_MOST_ENDED = 1000


class OwnerBearers:
    """`sessions` signs for the API alone: with another secret, or for another identity, than the cookies'."""

    def __init__(self, owner: Owner, sessions: Sessions, throttle: Throttle, clock: Callable[[], float]) -> None:
        self._owner = owner
        self._sessions = sessions
        self._throttle = throttle
        self._ended: Cache[str, bool] = Cache(_MOST_ENDED, clock)

    def sign_in(self, username: str, password: str, totp: str, address: str) -> IssuedBearer:
        """The owner of the settings has no second factor: a code is not looked at. Raises Wrong, TooMany, Busy."""
        del totp
        name = username[:_MOST_NAME_CHARS]
        wait_s = ceil(self._throttle.attempt(address, name))
        if wait_s > 0:
            raise TooMany(wait_s)
        if len(password) > _MOST_PASSWORD_CHARS or not self._owner.check(username, password):
            raise Wrong
        self._throttle.succeeded(address, name)
        token = self._sessions.begin(username)
        session = self._sessions.signed_in([token])
        if session is None:
            raise Wrong
        return IssuedBearer(token, datetime.fromtimestamp(session.began_at + SESSION_S, UTC))

    def authenticate(self, bearer: str, address: str) -> Actor | None:
        session = self._sessions.signed_in([bearer])
        if session is None or self._ended.get(session.nonce):
            return None
        began_at = datetime.fromtimestamp(session.began_at, UTC)
        return Actor("", session.username, Role.OWNER, "jwt", session.nonce, address, began_at)

    def revoke(self, actor: Actor) -> None:
        if actor.via != "jwt":
            raise Refused("only a token that was signed in for ends here")
        self._ended.put(actor.credential_id, True, SESSION_S)
