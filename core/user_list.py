"""The list of users as an admin searches and sorts it: each with what their keys did, in one query a page.

Read-only functions on a Connection. Knows no page and no API. Invariant: the cost of a page grows with the number of users,
which is limited, and of their keys, never with the number of requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, Select, Subquery, cast, func, literal, or_, select

from core.access import NotFound, is_valid_at
from core.columns import UtcTime
from core.keyset import By, Order, Page, Place
from core.models import access_keys, bedrock_keys, users
from core.spend_models import spend_monthly
from core.types import KeyHealth, Strategy, UserStatus
from core.users import User, user_of


class UserSort(StrEnum):
    NAME = "name"
    CREATED = "created"
    LAST_SEEN = "last_seen"
    SPEND = "spend"


_NEVER = literal(datetime(1970, 1, 1, tzinfo=UTC), UtcTime)


@dataclass(frozen=True, slots=True)
class UserFilter:
    """`search` is looked for in name, e-mail and note, whatever its case. None takes all that are not deleted."""

    search: str = ""
    status: UserStatus | None = None
    strategy: Strategy | None = None
    sort: UserSort = UserSort.NAME


@dataclass(frozen=True, slots=True)
class UserLine:
    """A user with what belongs to them. `spent_micros` is this month's, on Bedrock."""

    user: User
    active_keys: int
    bedrock_keys: int
    troubled_bedrock_keys: int
    last_seen_at: datetime | None
    spent_micros: int


def user_lines(
    connection: Connection, wanted: UserFilter, now: datetime, month: str, limit: int, after: Place | None = None
) -> Page[UserLine]:
    """One query. `month` is that of the budgets' time zone ("2026-11")."""
    query, order = _query(wanted, now, month)
    return order.page(connection, query, limit, _line, after)


def user_line(connection: Connection, user_id: str, now: datetime, month: str) -> UserLine:
    """One user's, who is not deleted. Raises NotFound."""
    row = connection.execute(_query(UserFilter(), now, month)[0].where(users.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no user {user_id}")
    return _line(row)


def _query(wanted: UserFilter, now: datetime, month: str) -> tuple[Select[Any], Order]:
    keys, attached, spend = _keys(now), _attached(), _spend(month)
    source = users.outerjoin(keys, keys.c.user_id == users.c.id).outerjoin(attached, attached.c.user_id == users.c.id)
    source = source.outerjoin(spend, spend.c.user_id == users.c.id)
    spent = cast(func.coalesce(spend.c.micros, 0), BigInteger)  # PostgreSQL adds integers up to a numeric
    name, seen = func.lower(users.c.name), func.coalesce(keys.c.last_seen_at, _NEVER)
    figures = (
        func.coalesce(keys.c.active, 0).label("active_keys"),
        keys.c.last_seen_at,
        func.coalesce(attached.c.there, 0).label("attached"),
        func.coalesce(attached.c.troubled, 0).label("troubled"),
        spent.label("spent_micros"),
    )
    orders: dict[UserSort, tuple[By, ...]] = {
        UserSort.NAME: (By(name),),
        UserSort.CREATED: (By(users.c.created_at, is_down=True),),
        UserSort.LAST_SEEN: (By(seen, is_down=True),),
        UserSort.SPEND: (By(spent, is_down=True), By(name)),
    }
    query = _filtered(select(users, *figures).select_from(source), wanted)
    return query, Order((*orders[wanted.sort], By(users.c.id)))


def _filtered(query: Select[Any], wanted: UserFilter) -> Select[Any]:
    status = users.c.status != UserStatus.DELETED if wanted.status is None else users.c.status == wanted.status
    query = query.where(status)
    if wanted.strategy is not None:
        query = query.where(users.c.strategy == wanted.strategy)
    if wanted.search:
        text = wanted.search.lower()
        within = (func.lower(column).contains(text, autoescape=True) for column in (users.c.name, users.c.email, users.c.note))
        query = query.where(or_(*within))
    return query


def _keys(now: datetime) -> Subquery:
    active = func.count(access_keys.c.id).filter(is_valid_at(now)).label("active")
    seen = func.max(access_keys.c.last_seen_at).label("last_seen_at")
    return select(access_keys.c.user_id, active, seen).group_by(access_keys.c.user_id).subquery()


def _attached() -> Subquery:
    table = bedrock_keys.c
    troubled = func.count(table.id).filter(table.health.in_([KeyHealth.UNHEALTHY, KeyHealth.LIMITED])).label("troubled")
    query = select(table.user_id, func.count(table.id).label("there"), troubled).where(table.deleted_at.is_(None))
    return query.group_by(table.user_id).subquery()


def _spend(month: str) -> Subquery:
    table = spend_monthly.c
    query = select(table.user_id, func.sum(table.cost_micros).label("micros")).where(table.month == month)
    return query.group_by(table.user_id).subquery()


def _line(row: Row[Any]) -> UserLine:
    counts = (row.active_keys, row.attached, row.troubled)
    return UserLine(user_of(row), *counts, row.last_seen_at, int(row.spent_micros))
