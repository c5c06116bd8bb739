"""Bedrock keys as rows: attached to a user or to one access key, sealed, with what is known of their health.

Functions on a Connection, as in core.access. Sealing and opening are apart from the transaction, because they may ask KMS.
Invariant: a clear secret is never written, and every change adds 1 to `revisions.grants` in its own transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Update, insert, select, update

from core.access import Invalid, NotFound, StoredBedrockKey
from core.crypto import Vault
from core.ids import new_id
from core.models import access_keys, bedrock_keys, users
from core.ports import ProbeResult
from core.revision import bump
from core.types import KeyHealth, Residency, UserStatus
from core.users import User

T = TypeVar("T", bool, str)

_REGION = re.compile(r"[a-z]{2,3}(-[a-z]{2,12}){1,2}-[0-9]{1,2}")
_SECRET = re.compile(r"[!-~]{1,8192}")
_REASON_LENGTH = 500
_MOST_ENDING = 100
EXPIRY_NOTICE = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class NewBedrockKey:
    """What is to be attached. `access_key_id` None: all access keys of the user may use it."""

    region: str
    residency: Residency
    secret: str = field(repr=False)
    access_key_id: str | None = None
    name: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AttachedBedrockKey:
    """A Bedrock key as it may be shown, and its sealed form."""

    key: StoredBedrockKey
    user_id: str
    access_key_id: str | None
    name: str
    health_reason: str
    tested_at: datetime | None
    expires_at: datetime | None
    created_at: datetime


def seal_bedrock_key(vault: Vault, new: NewBedrockKey) -> StoredBedrockKey:
    """The first step, outside any transaction. Raises Invalid, VaultAway."""
    if _REGION.fullmatch(new.region) is None:
        raise Invalid("a region looks like us-east-1")
    if _SECRET.fullmatch(new.secret) is None:
        raise Invalid("a Bedrock key is one line of printable characters without spaces")
    if len(new.name) > 200 or not new.name.isprintable():
        raise Invalid("a Bedrock key's name has at most 200 printable characters")
    key_id = new_id("bdk")
    return StoredBedrockKey(key_id, new.region, new.residency, KeyHealth.UNKNOWN, vault.seal(new.secret, key_id))


def attach_bedrock_key(connection: Connection, user: User, new: NewBedrockKey, key: StoredBedrockKey, now: datetime) -> None:
    """The second step: `key` is `new`, sealed. Raises NotFound when the access key is not the user's, or revoked."""
    bump(connection, "grants")
    if new.access_key_id is not None:
        _check_owner(connection, user, new.access_key_id)
    row = {"id": key.id, "user_id": user.id, "access_key_id": new.access_key_id, "name": new.name}
    place = {"region": key.region, "residency": key.residency, "sealed": key.sealed, "health": key.health}
    times = {"expires_at": new.expires_at, "created_at": now, "updated_at": now}
    connection.execute(insert(bedrock_keys), [{**row, **place, **times}])


def record_bedrock_test(connection: Connection, key_id: str, result: ProbeResult, now: datetime) -> None:
    """What a test found. Only a refusal takes the key out of use. Raises NotFound."""
    failed = KeyHealth.UNHEALTHY if result.refused else KeyHealth.UNKNOWN
    health = KeyHealth.HEALTHY if result.ok else failed
    bump(connection, "grants")
    _change(connection, key_id, health=health, health_reason=result.reason[:_REASON_LENGTH], tested_at=now, updated_at=now)


def mark_bedrock_key_unhealthy(connection: Connection, key_id: str, reason: str, now: datetime) -> bool:
    """AWS refused the key in use. Whether that was news: many requests may find out at once. Raises NotFound."""

    def is_news() -> bool:
        return find_bedrock_key(connection, key_id).key.health is not KeyHealth.UNHEALTHY

    if not _first(connection, is_news):
        return False
    _change(connection, key_id, health=KeyHealth.UNHEALTHY, health_reason=reason[:_REASON_LENGTH], updated_at=now)
    return True


def mark_bedrock_key_limited(connection: Connection, key_id: str, reason: str, now: datetime) -> bool:
    """AWS denies the key a model, and the key stays in use. Whether that was news: a reason is told once. Raises NotFound.

    Reasons ("model: why") gather, one a model, until a test of the key forgets them; what does not fit is left out.
    """

    def told() -> str:
        """All reasons with this one; empty when it is no news."""
        stored = find_bedrock_key(connection, key_id)
        known = stored.health_reason if stored.key.health is KeyHealth.LIMITED else ""
        both = f"{known}; {reason}" if known else reason[:_REASON_LENGTH]
        is_known = reason.partition(": ")[0] + ": " in known
        return "" if stored.key.health is KeyHealth.UNHEALTHY or is_known or len(both) > _REASON_LENGTH else both

    reasons = _first(connection, told)
    if not reasons:
        return False
    _change(connection, key_id, health=KeyHealth.LIMITED, health_reason=reasons, updated_at=now)
    return True


def remove_bedrock_key(connection: Connection, key_id: str, now: datetime) -> None:
    """Out of use for good, its sealed secret gone. Raises NotFound."""
    bump(connection, "grants")
    _change(connection, key_id, deleted_at=now, updated_at=now, sealed=b"")


def replace_seal(connection: Connection, key: StoredBedrockKey, sealed: bytes, now: datetime) -> bool:
    """The same secret, sealed anew. False when the key was changed or removed meanwhile, and nothing is done."""
    bump(connection, "grants")
    same = (bedrock_keys.c.id == key.id, bedrock_keys.c.sealed == key.sealed, bedrock_keys.c.deleted_at.is_(None))
    return connection.execute(update(bedrock_keys).where(*same).values(sealed=sealed, updated_at=now)).rowcount == 1


def find_bedrock_key(connection: Connection, key_id: str) -> AttachedBedrockKey:
    """Raises NotFound, also for a removed one."""
    query = select(bedrock_keys).where(bedrock_keys.c.id == key_id, bedrock_keys.c.deleted_at.is_(None))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise _no_such(key_id)
    return _stored(row)


def expiry_warning(expires_at: datetime | None, now: datetime) -> str:
    """What an administrator should know in time; empty while there is nothing to say."""
    if expires_at is None or expires_at > now + EXPIRY_NOTICE:
        return ""
    if expires_at <= now:
        return "expired"
    days = (expires_at - now).days
    return f"expires in {days} days" if days > 1 else "expires within two days"


def list_ending(connection: Connection, now: datetime) -> list[AttachedBedrockKey]:
    """Those in use that have expired, or will before `EXPIRY_NOTICE` is over; the first to end first."""
    active = select(users.c.id).where(users.c.status == UserStatus.ACTIVE)
    query = select(bedrock_keys).where(bedrock_keys.c.deleted_at.is_(None), bedrock_keys.c.expires_at <= now + EXPIRY_NOTICE)
    rows = connection.execute(
        query.where(bedrock_keys.c.user_id.in_(active)).order_by(bedrock_keys.c.expires_at).limit(_MOST_ENDING)
    )
    return [_stored(row) for row in rows]


def list_bedrock_keys(connection: Connection, user_id: str | None = None) -> list[AttachedBedrockKey]:
    """All that are not removed, or one user's; oldest first."""
    query = select(bedrock_keys).where(bedrock_keys.c.deleted_at.is_(None)).order_by(bedrock_keys.c.id)
    if user_id is not None:
        query = query.where(bedrock_keys.c.user_id == user_id)
    return [_stored(row) for row in connection.execute(query)]


def _first(connection: Connection, news: Callable[[], T]) -> T:
    """What is news, and announced: looked for again behind the other workers that found something out meanwhile, so that nothing
    of theirs is lost. What is none holds nobody up."""
    found = news()
    if found:
        bump(connection, "grants")
        found = news()
    return found


def _check_owner(connection: Connection, user: User, access_key_id: str) -> None:
    table = access_keys.c
    theirs = select(table.id).where(table.id == access_key_id, table.user_id == user.id, table.revoked_at.is_(None))
    if connection.execute(theirs).first() is None:
        raise NotFound(f"there is no access key {access_key_id} of {user.name}")


def _change(connection: Connection, key_id: str, **values: Any) -> None:
    query: Update = update(bedrock_keys).where(bedrock_keys.c.id == key_id, bedrock_keys.c.deleted_at.is_(None))
    if connection.execute(query.values(values)).rowcount == 0:
        raise _no_such(key_id)


def _no_such(key_id: str) -> NotFound:
    return NotFound(f"there is no Bedrock key {key_id}")


def _stored(row: Row[Any]) -> AttachedBedrockKey:
    key = StoredBedrockKey(row.id, row.region, Residency(row.residency), KeyHealth(row.health), row.sealed)
    owner = (row.user_id, row.access_key_id, row.name)
    return AttachedBedrockKey(key, *owner, row.health_reason, row.tested_at, row.expires_at, row.created_at)
