"""Access keys: issued, changed, rotated, revoked (SPEC section 8).

Functions on a Connection, to be called inside `Database.run`. Refuses to know HTTP, pages, and what a clear key looks like
once it is issued. Invariant: every change adds 1 to `revisions.grants` in its own transaction, first of all, so that changes
wait for each other and limits hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from core.access import Invalid, LimitReached, Limits, NotFound, is_valid_at
from core.crypto import hash_access_key, new_access_key
from core.ids import new_id
from core.models import access_keys, users
from core.revision import bump
from core.spend_rows import forget_warnings
from core.types import Strategy, UserStatus
from core.users import User, check_budget, find_user

MOST_REQUESTS_PER_MINUTE = 10_000
_PREFIX_LENGTH = 9


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """What a key is to be like. None: no expiry, the user's strategy, no budget or limit of its own."""

    name: str = ""
    expires_at: datetime | None = None
    strategy: Strategy | None = None
    monthly_budget_micros: int | None = None
    requests_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """The only time the clear text of a key exists outside its owner's hands."""

    id: str
    access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LastSeen:
    """When a key was last used, and from where; about a minute old at most, empty before its first use."""

    at: datetime | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key as it may be shown: its first characters only."""

    id: str
    user_id: str
    user_name: str
    prefix: str
    options: KeyOptions
    previous_valid_until: datetime | None
    revoked_at: datetime | None
    last_seen: LastSeen
    created_at: datetime

    def status(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`; its user may be inactive all the same."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if _has_expired(self.options, now) else "active"


def issue_key(
    connection: Connection, user: User, server_secret: str, limits: Limits, now: datetime, options: KeyOptions = KeyOptions()
) -> IssuedKey:
    """A new key for an active user. Raises Invalid, LimitReached."""
    check_options(options, now)
    bump(connection, "grants")
    if find_user(connection, user.id).status is not UserStatus.ACTIVE:
        raise Invalid(f"the user {user.name} is not active")
    _check_there_is_room(connection, user.id, user.name, limits, now)
    issued = IssuedKey(new_id("key"), new_access_key())
    row = {"id": issued.id, "user_id": user.id, "created_at": now, **_written(issued.access_key, server_secret, now)}
    connection.execute(insert(access_keys), [{**row, **_columns(options)}])
    return issued


def reword_key(connection: Connection, key_id: str, access_key: str, server_secret: str, now: datetime) -> IssuedKey:
    """A key whose text nobody has seen yet gets this one."""
    connection.execute(update(access_keys).where(access_keys.c.id == key_id).values(_written(access_key, server_secret, now)))
    return IssuedKey(key_id, access_key)


def change_key(
    connection: Connection, key_id: str, change: Callable[[KeyOptions], KeyOptions], limits: Limits, now: datetime
) -> AccessKey:
    """Options as `change` makes them of what they are now. A new expiry may bring an expired key back, if there is room.

    Raises NotFound, Invalid (also for a revoked key), LimitReached.
    """
    bump(connection, "grants")
    key = find_key(connection, key_id)
    if key.revoked_at is not None:
        raise Invalid(f"the access key {key_id} is revoked; issue a new one")
    options = change(key.options)
    check_options(options, now, before=key.options)
    if _has_expired(key.options, now) and not _has_expired(options, now):
        _check_there_is_room(connection, key.user_id, key.user_name, limits, now)
    connection.execute(update(access_keys).where(access_keys.c.id == key_id).values({**_columns(options), "updated_at": now}))
    if options.monthly_budget_micros != key.options.monthly_budget_micros:
        forget_warnings(connection, key_id)
    return find_key(connection, key_id)


def rotate_key(connection: Connection, key_id: str, server_secret: str, grace_s: float, now: datetime) -> IssuedKey:
    """A new secret for the same key; the old one is good for `grace_s` more. Raises NotFound, Invalid."""
    bump(connection, "grants")
    row = connection.execute(select(access_keys).where(access_keys.c.id == key_id)).one_or_none()
    if row is None:
        raise _no_such(key_id)
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        raise Invalid(f"the access key {key_id} is revoked or expired; issue a new one")
    issued = IssuedKey(key_id, new_access_key())
    grace = {"previous_hash": row.secret_hash, "previous_valid_until": now + timedelta(seconds=grace_s)}
    change = {**grace, **_written(issued.access_key, server_secret, now)}
    connection.execute(update(access_keys).where(access_keys.c.id == key_id).values(change))
    return issued


def revoke_key(connection: Connection, key_id: str, now: datetime) -> None:
    """For good, its old secret too. Revoking again changes nothing. Raises NotFound."""
    bump(connection, "grants")
    query = update(access_keys).where(access_keys.c.id == key_id)
    if connection.execute(query.values(revoked_at=func.coalesce(access_keys.c.revoked_at, now), updated_at=now)).rowcount == 0:
        raise _no_such(key_id)


def find_key(connection: Connection, key_id: str) -> AccessKey:
    """Raises NotFound."""
    row = connection.execute(_selection().where(access_keys.c.id == key_id)).one_or_none()
    if row is None:
        raise _no_such(key_id)
    return access_key_of(row)


def list_keys(connection: Connection, user_id: str | None = None) -> list[AccessKey]:
    """All, or one user's, revoked and expired ones too; oldest first."""
    query = _selection().order_by(access_keys.c.id)
    if user_id is not None:
        query = query.where(access_keys.c.user_id == user_id)
    return [access_key_of(row) for row in connection.execute(query)]


def check_options(options: KeyOptions, now: datetime, before: KeyOptions = KeyOptions()) -> None:
    """Raises Invalid. An expiry that is as it was before may lie in the past."""
    if len(options.name) > 200 or not options.name.isprintable():
        raise Invalid("a key's name has at most 200 printable characters")
    if options.expires_at != before.expires_at and _has_expired(options, now):
        raise Invalid("a key must expire in the future")
    rate = options.requests_per_minute
    if rate is not None and not 1 <= rate <= MOST_REQUESTS_PER_MINUTE:
        raise Invalid(f"a limit is 1 to {MOST_REQUESTS_PER_MINUTE} requests a minute")
    check_budget(options.monthly_budget_micros)


def _check_there_is_room(connection: Connection, user_id: str, user_name: str, limits: Limits, now: datetime) -> None:
    active = select(func.count()).select_from(access_keys).where(access_keys.c.user_id == user_id, is_valid_at(now))
    if connection.execute(active).scalar_one() >= limits.max_keys_per_user:
        raise LimitReached(
            f"there are {limits.max_keys_per_user} active keys of {user_name}, as many as PROXY_MAX_KEYS_PER_USER allows"
        )


def _has_expired(options: KeyOptions, now: datetime) -> bool:
    return options.expires_at is not None and options.expires_at <= now


def _written(access_key: str, server_secret: str, now: datetime) -> dict[str, Any]:
    """What of a key's text is stored."""
    hashed = hash_access_key(server_secret, access_key)
    return {"secret_hash": hashed, "hash_version": 1, "prefix": access_key[:_PREFIX_LENGTH], "updated_at": now}


def _columns(options: KeyOptions) -> dict[str, Any]:
    return {
        "name": options.name,
        "expires_at": options.expires_at,
        "strategy": options.strategy,
        "monthly_budget_micros": options.monthly_budget_micros,
        "requests_per_minute": options.requests_per_minute,
    }


def _selection() -> Select[Any]:
    return select(access_keys, users.c.name.label("user_name")).join(users)


def _no_such(key_id: str) -> NotFound:
    return NotFound(f"there is no access key {key_id}")


def access_key_of(row: Row[Any]) -> AccessKey:
    strategy = Strategy(row.strategy) if row.strategy else None
    options = KeyOptions(row.name, row.expires_at, strategy, row.monthly_budget_micros, row.requests_per_minute)
    seen = LastSeen(row.last_seen_at, row.last_seen_address)
    return AccessKey(
        row.id, row.user_id, row.user_name, row.prefix, options,
        row.previous_valid_until, row.revoked_at, seen, row.created_at,
    )  # fmt: skip
