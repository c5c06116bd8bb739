"""The list of users as an admin searches and sorts it: each with what their keys did, in one query a page.

Read-only functions on a Connection. Knows no page and no API. Invariant: the cost of a page grows with the number of users,
which is limited, and of their keys, never with the number of requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, Subquery, func, nulls_last, or_, select

from core.access import NotFound, is_valid_at
from core.models import access_keys, bedrock_keys, users
from core.spend_models import spend_monthly
from core.types import KeyHealth, Strategy, UserStatus
from core.users import User, user_of


class UserSort(StrEnum):
    NAME = "name"
    CREATED = "created"
    LAST_SEEN = "last_seen"
    SPEND = "spend"


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


@dataclass(frozen=True, slots=True)
class UserPage:
    lines: tuple[UserLine, ...]
    total: int


def user_lines(connection: Connection, wanted: UserFilter, now: datetime, month: str, limit: int, offset: int = 0) -> UserPage:
    """One query. `month` is that of the budgets' time zone ("2026-11"). Behind the last page `total` is 0."""
    found = connection.execute(_query(wanted, now, month).limit(limit).offset(offset)).all()
    return UserPage(tuple(map(_line, found)), found[0].total if found else 0)


def user_line(connection: Connection, user_id: str, now: datetime, month: str) -> UserLine:
    """One user's, who is not deleted. Raises NotFound."""
    row = connection.execute(_query(UserFilter(), now, month).where(users.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no user {user_id}")
    return _line(row)


def _query(wanted: UserFilter, now: datetime, month: str) -> Select[Any]:
    keys, attached, spend = _keys(now), _attached(), _spend(month)
    source = users.outerjoin(keys, keys.c.user_id == users.c.id).outerjoin(attached, attached.c.user_id == users.c.id)
    source = source.outerjoin(spend, spend.c.user_id == users.c.id)
    figures = (
        func.coalesce(keys.c.active, 0).label("active_keys"),
        keys.c.last_seen_at,
        func.coalesce(attached.c.there, 0).label("attached"),
        func.coalesce(attached.c.troubled, 0).label("troubled"),
        func.coalesce(spend.c.micros, 0).label("spent_micros"),
    )
    query = select(users, *figures, func.count().over().label("total")).select_from(source)
    orders = {
        UserSort.NAME: (func.lower(users.c.name),),
        UserSort.CREATED: (users.c.created_at.desc(),),
        UserSort.LAST_SEEN: (nulls_last(keys.c.last_seen_at.desc()),),
        UserSort.SPEND: (func.coalesce(spend.c.micros, 0).desc(), func.lower(users.c.name)),
    }
    return _filtered(query, wanted).order_by(*orders[wanted.sort], users.c.id)


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
