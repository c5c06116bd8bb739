"""The list of access keys as an admin searches and sorts it: each with its user and what it spent, in one query a page.

Read-only functions on a Connection. Knows no page and no API. Invariants: no hash is read; the cost of a page grows with the
number of keys, never with the number of requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, and_, func, literal, or_, select

from core.access import NotFound, is_valid_at
from core.access_keys import AccessKey, access_key_of
from core.columns import UtcTime
from core.keyset import By, Order, Page, Place
from core.models import access_keys, users
from core.spend_models import spend_monthly
from core.types import Strategy, UserStatus

_UNREAD = frozenset({"secret_hash", "previous_hash", "hash_version"})
# Where a time is null: before all, and behind all.
_NEVER, _AT_NO_TIME = (literal(datetime(year, 1, 1, tzinfo=UTC), UtcTime) for year in (1970, 9000))


class KeyStatus(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeySort(StrEnum):
    NEWEST = "newest"
    LAST_SEEN = "last_seen"
    EXPIRY = "expiry"
    SPEND = "spend"
    USER = "user"


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """`search` is looked for in the key's first characters and name and its user's name, whatever its case; a whole id is
    found, too. `status` None takes all that are not revoked."""

    search: str = ""
    user_id: str = ""
    status: KeyStatus | None = None
    sort: KeySort = KeySort.NEWEST


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A key with whose it is. `spent_micros` is this month's, on Bedrock."""

    key: AccessKey
    user_status: UserStatus
    user_strategy: Strategy
    spent_micros: int

    @property
    def strategy(self) -> Strategy:
        """The one in force."""
        return self.key.options.strategy or self.user_strategy


def key_lines(
    connection: Connection, wanted: KeyFilter, now: datetime, month: str, limit: int, after: Place | None = None
) -> Page[KeyLine]:
    """One query. `month` is that of the budgets' time zone ("2026-11")."""
    order = _order(wanted.sort)
    chosen = order.sorted(_filtered(_ids(wanted, month), wanted, now), after).limit(limit + 1).subquery()
    query = _query(month).where(access_keys.c.id.in_(select(chosen.c.id)))
    return order.page(connection, query, limit, _line)


def key_line(connection: Connection, key_id: str, month: str) -> KeyLine:
    """One key's, also of a revoked one. Raises NotFound."""
    row = connection.execute(_query(month).where(access_keys.c.id == key_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no access key {key_id}")
    return _line(row)


def _ids(wanted: KeyFilter, month: str) -> Select[Any]:
    """Sorting ten thousand ids is cheap, whole rows is not: those are read for one page alone."""
    source: FromClause = access_keys
    if wanted.search or wanted.sort is KeySort.USER:
        source = source.join(users)
    if wanted.sort is KeySort.SPEND:
        source = source.outerjoin(spend_monthly, _spent_in(month))
    return select(access_keys.c.id).select_from(source)


def _spent_in(month: str) -> ColumnElement[bool]:
    return and_(spend_monthly.c.access_key_id == access_keys.c.id, spend_monthly.c.month == month)


def _query(month: str) -> Select[Any]:
    shown = [column for column in access_keys.c if column.name not in _UNREAD]
    theirs = (users.c.name.label("user_name"), users.c.status.label("user_status"), users.c.strategy.label("user_strategy"))
    spent = func.coalesce(spend_monthly.c.cost_micros, 0).label("spent_micros")
    return select(*shown, *theirs, spent).select_from(access_keys.join(users).outerjoin(spend_monthly, _spent_in(month)))


def _filtered(query: Select[Any], wanted: KeyFilter, now: datetime) -> Select[Any]:
    table = access_keys.c
    conditions = {
        None: table.revoked_at.is_(None),
        KeyStatus.ACTIVE: is_valid_at(now),
        KeyStatus.EXPIRED: and_(table.revoked_at.is_(None), table.expires_at <= now),
        KeyStatus.REVOKED: table.revoked_at.is_not(None),
    }
    query = query.where(conditions[wanted.status])
    if wanted.user_id:
        query = query.where(table.user_id == wanted.user_id)
    if wanted.search:
        text = wanted.search.lower()
        within = (func.lower(column).contains(text, autoescape=True) for column in (table.prefix, table.name, users.c.name))
        query = query.where(or_(table.id == wanted.search, *within))
    return query


def _order(sort: KeySort) -> Order:
    table = access_keys.c
    orders: dict[KeySort, tuple[By, ...]] = {
        KeySort.NEWEST: (),
        KeySort.LAST_SEEN: (By(func.coalesce(table.last_seen_at, _NEVER), is_down=True),),
        KeySort.EXPIRY: (By(func.coalesce(table.expires_at, _AT_NO_TIME)),),
        KeySort.SPEND: (By(func.coalesce(spend_monthly.c.cost_micros, 0), is_down=True),),
        KeySort.USER: (By(func.lower(users.c.name)),),
    }
    return Order((*orders[sort], By(table.id, is_down=True)))


def _line(row: Row[Any]) -> KeyLine:
    return KeyLine(access_key_of(row), UserStatus(row.user_status), Strategy(row.user_strategy), int(row.spent_micros))
