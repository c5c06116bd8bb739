"""Usage over time for charts and tables: the largest groups of a range, and how they went bucket by bucket.

Read-only. Knows no page. Out of the hourly sums; by the minute out of the request records, which is for some hours only.
Invariants: one query for the groups and one for the series, however many buckets there are; a series has at most as many
lines as were asked for, and one for all others (OTHERS), so that its sums are those of the whole range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Subquery, and_, case, func, literal, or_, select

from core.ledger import SUMMED
from core.models import access_keys, requests, usage_hourly, users
from core.types import ProviderName

OTHERS = "*"  # stands for the groups that are too small for a line of their own; no id, model or provider is called so
TOKENS = "tokens"
MEASURES = ("requests", "errors", "fallbacks", TOKENS, "cost_micros", "list_value_micros")
_TOKENS = ("input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens")
_COLUMNS = MappingProxyType({"user": "user_id", "key": "access_key_id", "model": "model", "provider": "provider"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What is summed: from `since` to before `until` (aware), and only of one user, key or provider where that is given.

    `provider` "" are requests that nobody answered; None are all. `is_fine`: out of the request records.
    """

    since: datetime
    until: datetime
    user_id: str = ""
    access_key_id: str = ""
    provider: str | None = None
    is_fine: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """`sums` has every summed column of the hourly sums."""

    id: str
    sums: dict[str, int]


@dataclass(frozen=True, slots=True)
class Groups:
    """The largest ones. `total` and `count` are of all of them."""

    largest: tuple[Group, ...]
    total: dict[str, int]
    count: int


def groups_in(connection: Connection, scope: Scope, group: str, measure: str, most: int) -> Groups:
    """By `group` (user, key, model, provider; empty: all in one), the largest by `measure` (of MEASURES) first."""
    source = _source(scope, group)
    sums = {name: func.coalesce(func.sum(source.c[name]), 0) for name in SUMMED}
    totals = [func.sum(each).over().label(f"all_{name}") for name, each in sums.items()]
    grouped = [each.label(name) for name, each in sums.items()]
    query = select(source.c.grouped, *grouped, *totals, func.count().over().label("groups")).group_by(source.c.grouped)
    weight = sum((sums[name] for name in _TOKENS[1:]), sums[_TOKENS[0]]) if measure == TOKENS else sums[measure]
    rows = connection.execute(query.order_by(weight.desc(), source.c.grouped).limit(most)).all()
    largest = tuple(Group(row.grouped, {name: int(getattr(row, name)) for name in SUMMED}) for row in rows)
    total = {name: int(getattr(rows[0], f"all_{name}")) if rows else 0 for name in SUMMED}
    return Groups(largest, total, int(rows[0].groups) if rows else 0)


def series_of(
    connection: Connection, scope: Scope, group: str, shown: Sequence[str], begins: Sequence[datetime]
) -> dict[tuple[int, str], dict[str, int]]:
    """(number of the bucket, group) -> sums, of the groups in `shown` and of OTHERS; where nothing was there is no entry.

    `begins` are where buckets begin, in order; the last one ends with the scope.
    """
    source = _source(scope, group)
    named = case((source.c.grouped.in_(shown), source.c.grouped), else_=literal(OTHERS)) if shown else literal(OTHERS)
    cut = select(_number(source.c.at, begins).label("number"), named.label("named"), *(source.c[name] for name in SUMMED))
    inner = cut.subquery()
    sums = [func.sum(inner.c[name]) for name in SUMMED]
    rows = connection.execute(select(inner.c.number, inner.c.named, *sums).group_by(inner.c.number, inner.c.named))
    return {(row[0], row[1]): dict(zip(SUMMED, map(int, row[2:]), strict=True)) for row in rows}


def names_of(connection: Connection, group: str, ids: Sequence[str]) -> dict[str, str]:
    """What users and keys are called; empty for groups that are their own names. Not there: deleted or never known."""
    if group == "user":
        found = connection.execute(select(users.c.id, users.c.name).where(users.c.id.in_(ids)))
        return {row.id: row.name for row in found}
    if group == "key":
        source = access_keys.join(users, users.c.id == access_keys.c.user_id)
        columns = (access_keys.c.id, access_keys.c.prefix, access_keys.c.name, users.c.name.label("user_name"))
        found = connection.execute(select(*columns).select_from(source).where(access_keys.c.id.in_(ids)))
        return {row.id: f"{row.user_name}, {row.name or row.prefix}" for row in found}
    return {}


def find_user_id(connection: Connection, name_or_id: str) -> str:
    """Empty where there is none."""
    query = select(users.c.id).where(or_(users.c.id == name_or_id, users.c.name == name_or_id)).limit(1)
    return connection.execute(query).scalar() or ""


def _source(scope: Scope, group: str) -> Subquery:
    """Rows with `at`, `grouped` and the summed columns."""
    table = _records() if scope.is_fine else usage_hourly
    at = table.c.at if scope.is_fine else table.c.hour
    wanted = [at >= scope.since, at < scope.until]
    if scope.user_id:
        wanted.append(table.c.user_id == scope.user_id)
    if scope.access_key_id:
        wanted.append(table.c.access_key_id == scope.access_key_id)
    if scope.provider is not None:
        wanted.append(table.c.provider == scope.provider)
    grouped: Any = table.c[_COLUMNS[group]] if group else literal("")
    summed = [table.c[name] for name in SUMMED]
    return select(at.label("at"), grouped.label("grouped"), *summed).where(and_(*wanted)).subquery()


def _records() -> Subquery:
    """Request records with the columns of hourly sums; as core.ledger counts errors and fallbacks."""
    table = requests.c
    is_error = and_(
        table.fault != "client_gone",
        or_(table.status >= 500, table.fault == "stream_broken", and_(table.provider == "", table.status >= 400)),
    )
    is_fallback = and_(table.provider == ProviderName.BEDROCK, table.fault.like(r"plan\_%", escape="\\"))
    model = func.coalesce(func.nullif(table.model_served, ""), table.model_asked).label("model")
    counted = (literal(1).label("requests"), _one(is_error).label("errors"), _one(is_fallback).label("fallbacks"))
    amounts = [table[name] for name in SUMMED if name not in ("requests", "errors", "fallbacks")]
    at = table.started_at.label("at")
    return select(at, table.user_id, table.access_key_id, table.provider, model, *counted, *amounts).subquery()


def _one(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _number(moment: ColumnElement[Any], begins: Sequence[datetime], first: int = 0) -> ColumnElement[int]:
    """Which bucket, by halving: both databases understand it, and 400 buckets cost a row nine comparisons."""
    if len(begins) == 1:
        return literal(first)
    middle = len(begins) // 2
    early, late = begins[:middle], begins[middle:]
    return case((moment < late[0], _number(moment, early, first)), else_=_number(moment, late, first + middle))
