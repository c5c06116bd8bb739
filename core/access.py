"""Who may come in, and with what: a key's hash into a grant; the words of refusal that users and keys share (SPEC section 8).

Users are in core.users, access keys in core.access_keys, Bedrock keys in core.bedrock_keys. Refuses to know HTTP and what a
clear key looks like. Invariant: every reason why a key is not valid looks the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select

from core.models import access_keys, bedrock_keys, users
from core.settings import Settings
from core.types import KeyHealth, Residency, Strategy, UserStatus


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
    requests_per_minute: int | None = None
    user_budget_micros: int | None = None
    key_budget_micros: int | None = None


def load_grant(connection: Connection, key_hash: str, now: datetime) -> StoredGrant | None:
    """What the key of this hash entitles to: two queries. None for every reason why it does not, all alike."""
    by_hash = or_(access_keys.c.secret_hash == key_hash, access_keys.c.previous_hash == key_hash)
    of_user = (users.c.strategy.label("user_strategy"), users.c.monthly_budget_micros.label("user_budget"))
    query = select(access_keys, *of_user).join(users)
    key = connection.execute(query.where(by_hash, is_valid_at(now), users.c.status == UserStatus.ACTIVE)).one_or_none()
    if key is None:
        return None
    ends = [key.expires_at] if key.secret_hash == key_hash else [key.expires_at, key.previous_valid_until]
    expires_at = min((moment for moment in ends if moment is not None), default=None)
    if expires_at is not None and expires_at <= now:
        return None
    strategy = Strategy(key.strategy or key.user_strategy)
    attached = _bedrock_keys_of(connection, key, now)
    most = (key.requests_per_minute, key.user_budget, key.monthly_budget_micros)
    return StoredGrant(key.user_id, key.id, strategy, expires_at, attached, *most)


def is_valid_at(now: datetime) -> ColumnElement[bool]:
    """The condition on `access_keys` that a key is neither revoked nor expired."""
    return and_(access_keys.c.revoked_at.is_(None), or_(access_keys.c.expires_at.is_(None), access_keys.c.expires_at > now))


def _bedrock_keys_of(connection: Connection, key: Row[Any], now: datetime) -> tuple[StoredBedrockKey, ...]:
    """The access key's own first, then its user's; oldest first. They are tried in this order."""
    table = bedrock_keys.c
    query = select(table.id, table.region, table.residency, table.health, table.sealed).where(
        table.user_id == key.user_id,
        or_(table.access_key_id == key.id, table.access_key_id.is_(None)),
        table.deleted_at.is_(None),
        or_(table.expires_at.is_(None), table.expires_at > now),
    )
    rows = connection.execute(query.order_by(table.access_key_id.is_(None), table.id))
    return tuple(StoredBedrockKey(r.id, r.region, Residency(r.residency), KeyHealth(r.health), r.sealed) for r in rows)
