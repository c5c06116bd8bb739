"""Who is signed in: sessions of browsers and signed-in tokens of the API, as rows (SPEC section 11).

Functions on a Connection. Refuses to know cookies and how a JWT is written. Invariants: a token's text is stored nowhere; a
session is good only while its row is, so that whoever ends it ends it in every worker at once; it ends 24 hours after it
began, a browser's also after 30 minutes without use; every reason why it is not good looks the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select, update

from core.access import NotFound
from core.actor import Actor, Role
from core.admin_models import admin_sessions, admins
from core.crypto import hash_admin_secret
from core.ids import new_id

ABSOLUTE = timedelta(hours=24)
IDLE = timedelta(minutes=30)
CONFIRMED_FOR = timedelta(minutes=10)
NOTED_EVERY = timedelta(minutes=1)
_KEPT = timedelta(days=7)  # so long after its end a row is still there
_ACTIVE = "active"


class Kind(StrEnum):
    SESSION = "session"
    JWT = "jwt"


@dataclass(frozen=True, slots=True)
class Caller:
    """From where, with what."""

    address: str
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as its admin may see it."""

    id: str
    admin_id: str
    kind: Kind
    address: str
    user_agent: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whoever a valid credential stands for. `is_stale`: its use was not noted for a minute (`note_use`)."""

    actor: Actor
    has_totp: bool
    is_stale: bool


def begin(connection: Connection, admin_id: str, digest: str, kind: Kind, caller: Caller, now: datetime) -> Session:
    """A new session, for whoever was just checked; `digest` is that of its token (`digest_of`)."""
    ended_long_ago = (admin_sessions.c.admin_id == admin_id) & (admin_sessions.c.expires_at < now - _KEPT)
    connection.execute(delete(admin_sessions).where(ended_long_ago))
    return begin_as(connection, new_id("ses"), admin_id, digest, (kind, caller), now)


def begin_as(
    connection: Connection, session_id: str, admin_id: str, digest: str, how: tuple[Kind, Caller], now: datetime
) -> Session:
    """As `begin`, with an id that is known already: it is inside a JWT."""
    kind, caller = how
    agent = "".join(letter for letter in caller.user_agent if letter.isprintable())[:120]
    times = {"created_at": now, "last_used_at": now, "expires_at": now + ABSOLUTE, "confirmed_at": now}
    row = {"id": session_id, "admin_id": admin_id, "kind": kind, "token_digest": digest, **times}
    connection.execute(insert(admin_sessions), [{**row, "address": caller.address[:64], "user_agent": agent}])
    return Session(session_id, admin_id, kind, caller.address[:64], agent, now, now, now + ABSOLUTE)


def digest_of(server_secret: str, kind: Kind, token: str) -> str:
    return hash_admin_secret(server_secret, kind, token)


def find(connection: Connection, digest: str, kind: Kind, address: str, now: datetime) -> SignedIn | None:
    """Whom the token of this digest signs in, one query. None for every reason why it does not."""
    query = select(admin_sessions, admins.c.username, admins.c.role, admins.c.totp_sealed).join(admins)
    mine = (admin_sessions.c.token_digest == digest, admin_sessions.c.kind == kind, admins.c.status == _ACTIVE)
    row = connection.execute(query.where(*mine, *_good_at(now))).one_or_none()
    if row is None:
        return None
    actor = Actor(row.admin_id, row.username, Role(row.role), kind.value, row.id, address, row.confirmed_at)
    return SignedIn(actor, bool(row.totp_sealed), now - row.last_used_at >= NOTED_EVERY)


def note_use(connection: Connection, session_id: str, now: datetime) -> None:
    connection.execute(update(admin_sessions).where(admin_sessions.c.id == session_id).values(last_used_at=now))


def confirm(connection: Connection, session_id: str, digest: str, now: datetime) -> None:
    """The password was given again: from now on under another token (ASVS 7.2.4). Raises NotFound when it has ended."""
    row = update(admin_sessions).where(admin_sessions.c.id == session_id, *_good_at(now))
    if connection.execute(row.values(confirmed_at=now, token_digest=digest)).rowcount == 0:
        raise NotFound("the session has ended")


def is_confirmed(actor: Actor, now: datetime) -> bool:
    """Whether the password was given within the last ten minutes: what owners do with consequences demands it."""
    return actor.confirmed_at is not None and now - actor.confirmed_at < CONFIRMED_FOR


def list_sessions(connection: Connection, admin_id: str, now: datetime) -> list[Session]:
    """Those that are good, the latest used first."""
    query = select(admin_sessions).where(admin_sessions.c.admin_id == admin_id, *_good_at(now))
    return [_session(row) for row in connection.execute(query.order_by(admin_sessions.c.last_used_at.desc()))]


def end(connection: Connection, admin_id: str, session_id: str, now: datetime) -> None:
    """One of this admin's. Raises NotFound when there is none, or it has ended."""
    which = (admin_sessions.c.id == session_id, admin_sessions.c.admin_id == admin_id, admin_sessions.c.revoked_at.is_(None))
    if connection.execute(update(admin_sessions).where(*which).values(revoked_at=now)).rowcount == 0:
        raise NotFound(f"there is no session {session_id}")


def end_token(connection: Connection, digest: str, now: datetime) -> None:
    """The session of this token, if there is one."""
    which = (admin_sessions.c.token_digest == digest, admin_sessions.c.revoked_at.is_(None))
    connection.execute(update(admin_sessions).where(*which).values(revoked_at=now))


def end_all(connection: Connection, admin_id: str, now: datetime, keep: str = "") -> int:
    """All of this admin's but the session `keep`; returns how many ended."""
    which = (admin_sessions.c.admin_id == admin_id, admin_sessions.c.id != keep, admin_sessions.c.revoked_at.is_(None))
    return connection.execute(update(admin_sessions).where(*which, *_good_at(now)).values(revoked_at=now)).rowcount


def delete_all(connection: Connection, admin_id: str) -> None:
    connection.execute(delete(admin_sessions).where(admin_sessions.c.admin_id == admin_id))


def _good_at(now: datetime) -> tuple[ColumnElement[bool], ...]:
    used_lately = or_(admin_sessions.c.kind == Kind.JWT, admin_sessions.c.last_used_at > now - IDLE)
    return admin_sessions.c.revoked_at.is_(None), admin_sessions.c.expires_at > now, used_lately


def _session(row: Row[Any]) -> Session:
    times = (row.created_at, row.last_used_at, row.expires_at)
    return Session(row.id, row.admin_id, Kind(row.kind), row.address, row.user_agent, *times)
