"""The list of Bedrock keys as an admin sees it: where each holds, how it is, when it ends; one query a page.

Read-only functions on a Connection. Knows no page and no API. Invariant: nothing sealed is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, case, func, or_, select

from core.access import NotFound
from core.bedrock_keys import expiry_warning
from core.keyset import By, Order, Page, Place
from core.models import access_keys, bedrock_keys, users
from core.types import KeyHealth, Residency


@dataclass(frozen=True, slots=True)
class BedrockFilter:
    """Empty fields take all that are not removed. `access_key_id`: those of that key alone; `usable_by`: those that its requests
    may use, its own and its user's."""

    user_id: str = ""
    access_key_id: str = ""
    usable_by: str = ""
    health: KeyHealth | None = None


@dataclass(frozen=True, slots=True)
class BedrockLine:
    """`access_key_id` and `prefix` are empty where all keys of the user may use it."""

    id: str
    user_id: str
    user_name: str
    access_key_id: str
    prefix: str
    name: str
    region: str
    residency: Residency
    health: KeyHealth
    reason: str
    tested_at: datetime | None
    expires_at: datetime | None
    created_at: datetime

    def warning(self, now: datetime) -> str:
        """What to know of its end in time; empty while there is nothing to say."""
        return expiry_warning(self.expires_at, now)


def bedrock_lines(connection: Connection, wanted: BedrockFilter, limit: int, after: Place | None = None) -> Page[BedrockLine]:
    """One query, in the order in which they are tried: those of one access key first, then the oldest."""
    is_shared = case((bedrock_keys.c.access_key_id.is_(None), 1), else_=0)
    order = Order((By(is_shared), By(bedrock_keys.c.id)))
    return order.page(connection, _filtered(_query(), wanted), limit, _line, after)


def bedrock_line(connection: Connection, bedrock_key_id: str) -> BedrockLine:
    """Raises NotFound, also for a removed one."""
    row = connection.execute(_query().where(bedrock_keys.c.id == bedrock_key_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no Bedrock key {bedrock_key_id}")
    return _line(row)


def _query() -> Select[Any]:
    table = bedrock_keys.c
    place = (table.id, table.user_id, table.access_key_id, table.name, table.region, table.residency)
    state = (table.health, table.health_reason, table.tested_at, table.expires_at, table.created_at)
    names = (users.c.name.label("user_name"), func.coalesce(access_keys.c.prefix, "").label("prefix"))
    source = bedrock_keys.join(users, users.c.id == table.user_id).outerjoin(access_keys, access_keys.c.id == table.access_key_id)
    return select(*place, *state, *names).select_from(source).where(table.deleted_at.is_(None))


def _filtered(query: Select[Any], wanted: BedrockFilter) -> Select[Any]:
    table = bedrock_keys.c
    if wanted.user_id:
        query = query.where(table.user_id == wanted.user_id)
    if wanted.access_key_id:
        query = query.where(table.access_key_id == wanted.access_key_id)
    if wanted.usable_by:
        owner = select(access_keys.c.user_id).where(access_keys.c.id == wanted.usable_by).scalar_subquery()
        query = query.where(table.user_id == owner, or_(table.access_key_id.is_(None), table.access_key_id == wanted.usable_by))
    if wanted.health is not None:
        query = query.where(table.health == wanted.health)
    return query


def _line(row: Row[Any]) -> BedrockLine:
    whose = (row.id, row.user_id, row.user_name, row.access_key_id or "", row.prefix)
    place = (row.name, row.region, Residency(row.residency), KeyHealth(row.health), row.health_reason)
    return BedrockLine(*whose, *place, row.tested_at, row.expires_at, row.created_at)
