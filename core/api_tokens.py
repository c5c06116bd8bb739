"""API tokens: what programs of an admin come with, for as long as it was given (SPEC section 11).

Functions on a Connection. Refuses to know HTTP. Invariants: a token's text is stored nowhere and shown once; it may never do
more than its admin may now; every reason why it is not good looks the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, or_, select, update

from core.access import Invalid, LimitReached, NotFound
from core.actor import Actor, Role
from core.admin_models import admins, api_tokens
from core.admin_sessions import NOTED_EVERY, SignedIn
from core.crypto import hash_admin_secret, is_wellformed_api_token, new_api_token
from core.ids import new_id

MOST_ACTIVE = 20
LONGEST = timedelta(days=366)
_PREFIX_LENGTH = 10
_KIND, _ACTIVE = "api_token", "active"


@dataclass(frozen=True, slots=True)
class NewToken:
    """What a token is to be like."""

    name: str
    role: Role
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """The only time the clear text exists outside its owner's hands."""

    id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiToken:
    id: str
    admin_id: str
    name: str
    prefix: str
    role: Role
    expires_at: datetime | None
    last_used_at: datetime | None
    last_address: str
    created_at: datetime
    revoked_at: datetime | None

    def status(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`; its admin may be disabled all the same."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


def issue_token(connection: Connection, admin_id: str, new: NewToken, server_secret: str, now: datetime) -> IssuedToken:
    """Raises NotFound, LimitReached, and Invalid for a name, an expiry or a role that cannot be."""
    admin = connection.execute(select(admins).where(admins.c.id == admin_id).with_for_update()).one_or_none()
    if admin is None:
        raise NotFound(f"there is no admin {admin_id}")
    if not 1 <= len(new.name) <= 200 or not new.name.isprintable():
        raise Invalid("a token's name has 1 to 200 printable characters")
    if not now < new.expires_at <= now + LONGEST:
        raise Invalid("a token expires within a year")
    if not Role(admin.role).includes(new.role):
        raise Invalid(f"a token may not do more than its admin, who is {admin.role}")
    active = select(func.count()).select_from(api_tokens).where(api_tokens.c.admin_id == admin_id, *_good_at(now))
    if connection.execute(active).scalar_one() >= MOST_ACTIVE:
        raise LimitReached(f"an admin has at most {MOST_ACTIVE} active tokens; revoke one first")
    token, token_id = new_api_token(), new_id("tok")
    stored = {"prefix": token[:_PREFIX_LENGTH], "token_digest": hash_admin_secret(server_secret, _KIND, token)}
    row = {"id": token_id, "admin_id": admin_id, "name": new.name, "role": new.role, "expires_at": new.expires_at, **stored}
    connection.execute(insert(api_tokens), [{**row, "last_address": "", "created_at": now}])
    return IssuedToken(token_id, token)


def find(connection: Connection, token: str, server_secret: str, address: str, now: datetime) -> SignedIn | None:
    """Whom this token stands for: at most one query. None for every reason why it stands for nobody."""
    if not is_wellformed_api_token(token):
        return None
    of_admin = (admins.c.username, admins.c.role.label("admin_role"), admins.c.totp_sealed)
    mine = (api_tokens.c.token_digest == hash_admin_secret(server_secret, _KIND, token), admins.c.status == _ACTIVE)
    row = connection.execute(select(api_tokens, *of_admin).join(admins).where(*mine, *_good_at(now))).one_or_none()
    if row is None:
        return None
    role = min(Role(row.role), Role(row.admin_role), key=tuple(Role).index)
    actor = Actor(row.admin_id, row.username, role, _KIND, row.id, address)
    return SignedIn(actor, bool(row.totp_sealed), row.last_used_at is None or now - row.last_used_at >= NOTED_EVERY)


def note_use(connection: Connection, token_id: str, address: str, now: datetime) -> None:
    used = update(api_tokens).where(api_tokens.c.id == token_id)
    connection.execute(used.values(last_used_at=now, last_address=address[:64]))


def list_tokens(connection: Connection, admin_id: str) -> list[ApiToken]:
    """Revoked and expired ones too, the latest first."""
    query = select(api_tokens).where(api_tokens.c.admin_id == admin_id).order_by(api_tokens.c.id.desc())
    return [_token(row) for row in connection.execute(query)]


def revoke_token(connection: Connection, admin_id: str, token_id: str, now: datetime) -> ApiToken:
    """One of this admin's, as it was. Raises NotFound when there is none, or it is revoked."""
    which = (api_tokens.c.id == token_id, api_tokens.c.admin_id == admin_id, api_tokens.c.revoked_at.is_(None))
    row = connection.execute(select(api_tokens).where(*which)).one_or_none()
    if row is None or connection.execute(update(api_tokens).where(*which).values(revoked_at=now)).rowcount == 0:
        raise NotFound(f"there is no token {token_id}")
    return _token(row)


def revoke_above(connection: Connection, admin_id: str, role: Role | None, now: datetime) -> int:
    """All of this admin's tokens that may do more than `role`; with None all. Returns how many."""
    which = [api_tokens.c.admin_id == admin_id, api_tokens.c.revoked_at.is_(None)]
    if role is not None:
        which.append(api_tokens.c.role.not_in([each for each in Role if role.includes(each)]))
    return connection.execute(update(api_tokens).where(*which).values(revoked_at=now)).rowcount


def delete_all(connection: Connection, admin_id: str) -> None:
    connection.execute(delete(api_tokens).where(api_tokens.c.admin_id == admin_id))


def _good_at(now: datetime) -> tuple[ColumnElement[bool], ...]:
    not_expired = or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > now)
    return api_tokens.c.revoked_at.is_(None), not_expired


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        row.id, row.admin_id, row.name, row.prefix, Role(row.role), row.expires_at,
        row.last_used_at, row.last_address, row.created_at, row.revoked_at,
    )  # fmt: skip
