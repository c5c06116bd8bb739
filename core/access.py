"""Users and their access keys: who may come in, and with what (SPEC section 8).

Functions on a Connection, to be called inside `Database.run`; Bedrock keys are in core.bedrock_keys. Refuses to know HTTP,
pages, and what a clear key looks like once it is issued. Invariant: every change adds 1 to `revisions.grants` in its own
transaction, first of all, so that changes wait for each other and limits hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, insert, or_, select, update

from core.crypto import hash_access_key, new_access_key
from core.ids import new_id
from core.models import access_keys, bedrock_keys, users
from core.revision import bump
from core.settings import Settings
from core.types import KeyHealth, Residency, Strategy, UserStatus

_PREFIX_LENGTH = 9


class Refused(Exception):
    """What was asked cannot be done. The text is for the person who asked."""


class NameTaken(Refused):
    pass


class LimitReached(Refused):
    pass


class NotFound(Refused):
    pass


class Invalid(Refused):
    pass


@dataclass(frozen=True, slots=True)
class Limits:
    """How many there may be: users that are not deleted, active keys of one user."""

    max_users: int
    max_keys_per_user: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(settings.max_users, settings.max_keys_per_user)


@dataclass(frozen=True, slots=True)
class Profile:
    """What else is known of a user."""

    email: str = ""
    note: str = ""
    monthly_budget_micros: int | None = None


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    strategy: Strategy
    status: UserStatus
    profile: Profile
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """What a new key is to be like. None: no expiry, the user's strategy, no budget or limit of its own."""

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
class AccessKey:
    """A key as it may be shown: its first characters only."""

    id: str
    user_id: str
    user_name: str
    prefix: str
    options: KeyOptions
    previous_valid_until: datetime | None
    revoked_at: datetime | None
    last_seen_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredBedrockKey:
    """A Bedrock key as it is stored; `sealed` opens with the vault for `id` alone."""

    id: str
    region: str
    residency: Residency
    health: KeyHealth
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """What a valid key entitles to, Bedrock keys still sealed. After `expires_at` it must not be used."""

    user_id: str
    access_key_id: str
    strategy: Strategy
    expires_at: datetime | None
    bedrock_keys: tuple[StoredBedrockKey, ...] = ()
    user_budget_micros: int | None = None
    key_budget_micros: int | None = None


def add_user(
    connection: Connection, name: str, strategy: Strategy, limits: Limits, now: datetime, profile: Profile = Profile()
) -> User:
    """A new active user. Raises Invalid, NameTaken, LimitReached."""
    name = name.strip()
    if not 1 <= len(name) <= 200 or not name.isprintable():
        raise Invalid("a name has 1 to 200 printable characters")
    bump(connection, "grants")
    if connection.execute(select(users.c.id).where(users.c.name == name)).first() is not None:
        raise NameTaken(f"there is a user named {name} already")
    if _count(connection, select(users.c.id).where(users.c.status != UserStatus.DELETED)) >= limits.max_users:
        raise LimitReached(f"there are {limits.max_users} users, as many as PROXY_MAX_USERS allows")
    user = User(new_id("usr"), name, Strategy(strategy), UserStatus.ACTIVE, profile, now)
    row = {"id": user.id, "name": name, "strategy": user.strategy, "status": user.status, "created_at": now, "updated_at": now}
    more = {"email": profile.email, "note": profile.note, "monthly_budget_micros": profile.monthly_budget_micros}
    connection.execute(insert(users), [{**row, **more}])
    return user


def find_user(connection: Connection, name_or_id: str) -> User:
    """An id wins over a name. Raises NotFound, also for deleted ones."""
    matches = or_(users.c.id == name_or_id, users.c.name == name_or_id)
    rows = connection.execute(select(users).where(matches, users.c.status != UserStatus.DELETED)).all()
    if not rows:
        raise NotFound(f"there is no user {name_or_id}")
    return _user(next((row for row in rows if row.id == name_or_id), rows[0]))


def list_users(connection: Connection) -> list[User]:
    """All that are not deleted, by name."""
    query = select(users).where(users.c.status != UserStatus.DELETED).order_by(users.c.name)
    return [_user(row) for row in connection.execute(query)]


def deactivate_user(connection: Connection, user_id: str, now: datetime) -> None:
    """Cuts all their keys until they are activated again. Raises NotFound."""
    _set_status(connection, user_id, UserStatus.INACTIVE, now)


def activate_user(connection: Connection, user_id: str, now: datetime) -> None:
    """Raises NotFound, also for a deleted user: deleting is final."""
    _set_status(connection, user_id, UserStatus.ACTIVE, now)


def issue_key(
    connection: Connection, user: User, server_secret: str, limits: Limits, now: datetime, options: KeyOptions = KeyOptions()
) -> IssuedKey:
    """A new key for an active user. Raises Invalid, LimitReached."""
    if len(options.name) > 200 or not options.name.isprintable():
        raise Invalid("a key's name has at most 200 printable characters")
    if options.expires_at is not None and options.expires_at <= now:
        raise Invalid("a key must expire in the future")
    bump(connection, "grants")
    if find_user(connection, user.id).status is not UserStatus.ACTIVE:
        raise Invalid(f"the user {user.name} is not active")
    active = select(access_keys.c.id).where(access_keys.c.user_id == user.id, _valid(now))
    if _count(connection, active) >= limits.max_keys_per_user:
        raise LimitReached(f"{user.name} has {limits.max_keys_per_user} active keys, as many as PROXY_MAX_KEYS_PER_USER allows")
    issued = IssuedKey(new_id("key"), new_access_key())
    row = {"id": issued.id, "user_id": user.id, "created_at": now, **_written(issued.access_key, server_secret, now)}
    connection.execute(insert(access_keys), [{**row, **_columns(options)}])
    return issued


def rotate_key(connection: Connection, key_id: str, server_secret: str, grace_s: float, now: datetime) -> IssuedKey:
    """A new secret for the same key; the old one is good for `grace_s` more. Raises NotFound, Invalid."""
    bump(connection, "grants")
    row = connection.execute(select(access_keys).where(access_keys.c.id == key_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no access key {key_id}")
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        raise Invalid(f"the access key {key_id} is revoked or expired; issue a new one")
    issued = IssuedKey(key_id, new_access_key())
    grace = {"previous_hash": row.secret_hash, "previous_valid_until": now + timedelta(seconds=grace_s)}
    change = {**grace, **_written(issued.access_key, server_secret, now)}
    connection.execute(update(access_keys).where(access_keys.c.id == key_id).values(change))
    return issued


def revoke_key(connection: Connection, key_id: str, now: datetime) -> None:
    """For good. Revoking again changes nothing. Raises NotFound."""
    bump(connection, "grants")
    query = update(access_keys).where(access_keys.c.id == key_id)
    if connection.execute(query.values(revoked_at=func.coalesce(access_keys.c.revoked_at, now), updated_at=now)).rowcount == 0:
        raise NotFound(f"there is no access key {key_id}")


def list_keys(connection: Connection, user_id: str | None = None) -> list[AccessKey]:
    """All, or one user's, revoked and expired ones too; oldest first."""
    query = select(access_keys, users.c.name.label("user_name")).join(users).order_by(access_keys.c.id)
    if user_id is not None:
        query = query.where(access_keys.c.user_id == user_id)
    return [_access_key(row) for row in connection.execute(query)]


def load_grant(connection: Connection, key_hash: str, now: datetime) -> StoredGrant | None:
    """What the key of this hash entitles to: two queries. None for every reason why it does not, all alike."""
    by_hash = or_(access_keys.c.secret_hash == key_hash, access_keys.c.previous_hash == key_hash)
    of_user = (users.c.strategy.label("user_strategy"), users.c.monthly_budget_micros.label("user_budget"))
    query = select(access_keys, *of_user).join(users)
    key = connection.execute(query.where(by_hash, _valid(now), users.c.status == UserStatus.ACTIVE)).one_or_none()
    if key is None:
        return None
    ends = [key.expires_at] if key.secret_hash == key_hash else [key.expires_at, key.previous_valid_until]
    expires_at = min((moment for moment in ends if moment is not None), default=None)
    if expires_at is not None and expires_at <= now:
        return None
    strategy = Strategy(key.strategy or key.user_strategy)
    budgets = (key.user_budget, key.monthly_budget_micros)
    return StoredGrant(key.user_id, key.id, strategy, expires_at, _bedrock_keys_of(connection, key, now), *budgets)


def _bedrock_keys_of(connection: Connection, key: Row[Any], now: datetime) -> tuple[StoredBedrockKey, ...]:
    """The access key's own first, then its user's; oldest first."""
    table = bedrock_keys.c
    query = select(table.id, table.region, table.residency, table.health, table.sealed).where(
        table.user_id == key.user_id,
        or_(table.access_key_id == key.id, table.access_key_id.is_(None)),
        table.deleted_at.is_(None),
        or_(table.expires_at.is_(None), table.expires_at > now),
    )
    rows = connection.execute(query.order_by(table.access_key_id.is_(None), table.id))
    return tuple(StoredBedrockKey(r.id, r.region, Residency(r.residency), KeyHealth(r.health), r.sealed) for r in rows)


def _valid(now: datetime) -> Any:
    return and_(access_keys.c.revoked_at.is_(None), or_(access_keys.c.expires_at.is_(None), access_keys.c.expires_at > now))


def _count(connection: Connection, query: Select[Any]) -> int:
    return int(connection.execute(select(func.count()).select_from(query.subquery())).scalar_one())


def _set_status(connection: Connection, user_id: str, status: UserStatus, now: datetime) -> None:
    bump(connection, "grants")
    query = update(users).where(users.c.id == user_id, users.c.status != UserStatus.DELETED)
    if connection.execute(query.values(status=status, updated_at=now)).rowcount == 0:
        raise NotFound(f"there is no user {user_id}")


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


def _user(row: Row[Any]) -> User:
    profile = Profile(row.email, row.note, row.monthly_budget_micros)
    return User(row.id, row.name, Strategy(row.strategy), UserStatus(row.status), profile, row.created_at)


def _access_key(row: Row[Any]) -> AccessKey:
    strategy = Strategy(row.strategy) if row.strategy else None
    options = KeyOptions(row.name, row.expires_at, strategy, row.monthly_budget_micros, row.requests_per_minute)
    return AccessKey(
        row.id, row.user_id, row.user_name, row.prefix, options,
        row.previous_valid_until, row.revoked_at, row.last_seen_at, row.created_at,
    )  # fmt: skip
