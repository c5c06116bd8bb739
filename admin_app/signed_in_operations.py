"""Sessions and API tokens of administrators: one's own, and for owners those of others (SPEC section 11).

Invariants: an API token's text is in the answer of the operation that made it, and in no other; nobody makes one that may do
more than they may at that moment, and an API token makes none at all: it would outlive itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from admin_app.admin_operations import TheAdmin
from admin_app.fields import Id, Moment, Name
from admin_app.operation import Doing, Listed, NotAllowed, Nothing, Offer, Operation, Shape, Shown, asks, changes
from admin_app.secret_fields import SECRET
from core import admin_sessions, admins, api_tokens
from core.access import NotFound
from core.actor import Role
from core.admin_sessions import Kind, Session
from core.api_tokens import ApiToken, NewToken


class SessionShown(Shown, frozen=True, kw_only=True):
    """Where somebody is signed in: a browser's `session`, or a signed-in token of the API (`jwt`). `is_this`: what asks."""

    id: str
    kind: Kind
    address: str
    user_agent: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    is_this: bool


class TokenShown(Shown, frozen=True, kw_only=True):
    """An API token, of its text the first characters. `status` is active, expired or revoked."""

    id: str
    name: str
    prefix: str
    role: Role
    status: str
    expires_at: datetime | None
    last_used_at: datetime | None
    last_address: str
    created_at: datetime


class TokenMade(TokenShown, frozen=True, kw_only=True):
    """`token` is told this once."""

    token: Annotated[str, SECRET]

    def __repr__(self) -> str:
        return f"TokenMade(id={self.id!r})"


class Mine(Shape, frozen=True, kw_only=True):
    """All of one's own: there is a bounded number."""


class MySession(Shape, frozen=True, kw_only=True):
    session_id: Id


class MyToken(Shape, frozen=True, kw_only=True):
    token_id: Id


class NewTokenWanted(Shape, frozen=True, kw_only=True):
    """`role` is at most one's own; `expires_at` lies within a year."""

    name: Name
    role: Role = Role.VIEWER
    expires_at: Moment


class TheirSession(Shape, frozen=True, kw_only=True):
    admin_id: Id
    session_id: Id


class TheirToken(Shape, frozen=True, kw_only=True):
    admin_id: Id
    token_id: Id


class Ended(Shown, frozen=True, kw_only=True):
    """How many sessions ended."""

    ended: int


def _my_sessions(doing: Doing, _: Mine) -> Listed[SessionShown]:
    return _sessions(doing, doing.actor.admin_id)


def _end_mine(doing: Doing, taken: MySession) -> Nothing:
    return _end(doing, doing.actor.admin_id, taken.session_id)


def _my_tokens(doing: Doing, _: Mine) -> Listed[TokenShown]:
    return _tokens(doing, doing.actor.admin_id)


def _issue(doing: Doing, taken: NewTokenWanted) -> TokenMade:
    actor = doing.actor
    if actor.via == "api_token":
        raise NotAllowed("an API token makes no other; sign in to make one")
    if not actor.role.includes(taken.role):
        raise NotAllowed(f"a token may not do more than you, who are {actor.role}")
    new = NewToken(taken.name.strip(), taken.role, taken.expires_at)
    issued = api_tokens.issue_token(doing.connection, actor.admin_id, new, doing.tools.server_secret, doing.now)
    doing.note("api_token.create", issued.id, {}, {"name": new.name, "role": new.role, "expires_at": new.expires_at})
    made = next(each for each in api_tokens.list_tokens(doing.connection, actor.admin_id) if each.id == issued.id)
    return TokenMade(**msgspec.structs.asdict(_token(made, doing.now)), token=issued.token)


def _revoke_mine(doing: Doing, taken: MyToken) -> Nothing:
    return _revoke(doing, doing.actor.admin_id, taken.token_id)


def _their_sessions(doing: Doing, taken: TheAdmin) -> Listed[SessionShown]:
    return _sessions(doing, _of(doing, taken.admin_id))


def _end_theirs(doing: Doing, taken: TheirSession) -> Nothing:
    return _end(doing, _of(doing, taken.admin_id), taken.session_id)


def _end_all(doing: Doing, taken: TheAdmin) -> Ended:
    """Of somebody else all; of oneself all but the one that asks."""
    admin_id = _of(doing, taken.admin_id)
    ended = admin_sessions.end_all(doing.connection, admin_id, doing.now, doing.actor.credential_id)
    doing.note("session.end_all", admin_id, {}, {"ended": ended})
    return Ended(ended=ended)


def _end_others(doing: Doing, _: Mine) -> Ended:
    actor = doing.actor
    ended = admin_sessions.end_all(doing.connection, actor.admin_id, doing.now, actor.credential_id)
    doing.note("session.end_others", actor.admin_id, {}, {"ended": ended})
    return Ended(ended=ended)


def _their_tokens(doing: Doing, taken: TheAdmin) -> Listed[TokenShown]:
    return _tokens(doing, _of(doing, taken.admin_id))


def _revoke_theirs(doing: Doing, taken: TheirToken) -> Nothing:
    return _revoke(doing, _of(doing, taken.admin_id), taken.token_id)


def _of(doing: Doing, admin_id: str) -> str:
    """The admin's id. Raises NotFound."""
    return admins.find_admin(doing.connection, admin_id).id


def _sessions(doing: Doing, admin_id: str) -> Listed[SessionShown]:
    found = admin_sessions.list_sessions(doing.connection, admin_id, doing.now)
    return Listed(data=[_session(each, doing.actor.credential_id) for each in found])


def _tokens(doing: Doing, admin_id: str) -> Listed[TokenShown]:
    return Listed(data=[_token(each, doing.now) for each in api_tokens.list_tokens(doing.connection, admin_id)])


def _end(doing: Doing, admin_id: str, session_id: str) -> Nothing:
    session = next(
        (each for each in admin_sessions.list_sessions(doing.connection, admin_id, doing.now) if each.id == session_id), None
    )
    if session is None:
        raise NotFound(f"there is no session {session_id}, or it has ended")
    admin_sessions.end(doing.connection, admin_id, session_id, doing.now)
    doing.note("session.end", session_id, {"admin_id": admin_id, "kind": session.kind, "address": session.address}, {})
    return Nothing()


def _revoke(doing: Doing, admin_id: str, token_id: str) -> Nothing:
    before = api_tokens.revoke_token(doing.connection, admin_id, token_id, doing.now)
    doing.note("api_token.revoke", token_id, {"admin_id": admin_id, "name": before.name, "role": before.role}, {})
    return Nothing()


def _session(session: Session, credential_id: str) -> SessionShown:
    facts = {name: getattr(session, name) for name in SessionShown.__struct_fields__ if name != "is_this"}
    return SessionShown(**facts, is_this=session.id == credential_id)


def _token(token: ApiToken, now: datetime) -> TokenShown:
    facts: dict[str, Any] = {name: getattr(token, name) for name in TokenShown.__struct_fields__ if name != "status"}
    return TokenShown(**facts, status=token.status(now))


MY_SESSIONS = Operation("listMySessions", "Where you are signed in", Role.VIEWER, Mine, Listed[SessionShown], asks(_my_sessions))
END_MINE = Operation("endMySession", "End a session of yours", Role.VIEWER, MySession, Nothing, changes(_end_mine))
END_OTHERS = Operation("endMyOtherSessions", "End all other sessions of yours", Role.VIEWER, Mine, Ended, changes(_end_others))
MY_TOKENS = Operation("listMyApiTokens", "Your API tokens", Role.VIEWER, Mine, Listed[TokenShown], asks(_my_tokens))
ISSUE = Operation(
    "createApiToken", "Make an API token and tell it once", Role.VIEWER, NewTokenWanted, TokenMade, changes(_issue), True
)
REVOKE_MINE = Operation("revokeMyApiToken", "Revoke an API token of yours", Role.VIEWER, MyToken, Nothing, changes(_revoke_mine))
SESSIONS = Operation(
    "listAdminSessions", "Where an administrator is signed in", Role.OWNER, TheAdmin, Listed[SessionShown], asks(_their_sessions)
)
END = Operation("endAdminSession", "End a session of an administrator", Role.OWNER, TheirSession, Nothing, changes(_end_theirs))
END_ALL = Operation("endAdminSessions", "End all sessions of an administrator", Role.OWNER, TheAdmin, Ended, changes(_end_all))
TOKENS = Operation(
    "listAdminApiTokens", "API tokens of an administrator", Role.OWNER, TheAdmin, Listed[TokenShown], asks(_their_tokens)
)
REVOKE = Operation(
    "revokeAdminApiToken", "Revoke an API token of an administrator", Role.OWNER, TheirToken, Nothing, changes(_revoke_theirs)
)

OFFERS = (
    Offer("GET", "/sessions", MY_SESSIONS, tag="Your account"),
    Offer("DELETE", "/sessions/{session_id}", END_MINE, 204, tag="Your account"),
    Offer("GET", "/api-tokens", MY_TOKENS, tag="Your account"),
    Offer("POST", "/api-tokens", ISSUE, 201, tag="Your account"),
    Offer("DELETE", "/api-tokens/{token_id}", REVOKE_MINE, 204, tag="Your account"),
    Offer("GET", "/admins/{admin_id}/sessions", SESSIONS, tag="Admins"),
    Offer("DELETE", "/admins/{admin_id}/sessions", END_ALL, tag="Admins"),
    Offer("DELETE", "/admins/{admin_id}/sessions/{session_id}", END, 204, tag="Admins"),
    Offer("GET", "/admins/{admin_id}/api-tokens", TOKENS, tag="Admins"),
    Offer("DELETE", "/admins/{admin_id}/api-tokens/{token_id}", REVOKE, 204, tag="Admins"),
)
