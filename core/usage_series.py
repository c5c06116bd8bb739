"""Usage over time for charts and tables: the largest groups of a range, and how they went bucket by bucket.

Read-only. Knows no page. Out of the hourly sums; by the minute out of the request records, which is for some hours only.
Invariants: one query for the groups and one for the series, however many buckets there are; a series has at most as many
lines as were asked for, and one for all others (OTHERS), so that its sums are those of the whole range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    Subquery,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
)

from core.columns import UtcTime
from core.ledger import SUMMED
from core.models import access_keys, requests, usage_hourly, users
from core.threads import paced
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
    rows = list(paced(connection.execute(_groups(_kind(scope, group), measure), {**_given(scope), "most": most})))
    largest = tuple(Group(row.grouped, {name: int(getattr(row, name)) for name in SUMMED}) for row in paced(rows))
    total = {name: int(getattr(rows[0], f"all_{name}")) if rows else 0 for name in SUMMED}
    return Groups(largest, total, int(rows[0].groups) if rows else 0)


def series_of(
    connection: Connection, scope: Scope, group: str, shown: Sequence[str], begins: Sequence[datetime]
) -> dict[tuple[int, str], dict[str, int]]:
    """(number of the bucket, group) -> sums, of the groups in `shown` and of OTHERS; where nothing was there is no entry.

    `begins` are where buckets begin, in order; the last one ends with the scope.
    """
    given = {**_given(scope), "shown": list(shown)}
    if width := _width(scope, begins):
        statement = _series(_kind(scope, group), connection.dialect.name)
        given |= {"first": begins[0], "width": width, "last": len(begins) - 1}
    else:
        statement = _series(_kind(scope, group), "", len(begins))
        given |= {_bound(number): begin for number, begin in enumerate(begins)}
    rows = connection.execute(statement, given)
    return {(row[0], row[1]): dict(zip(SUMMED, map(int, row[2:]), strict=True)) for row in paced(rows)}


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


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a query looks like, whatever it is about: one of a kind is put together once, which takes longer than to run it."""

    group: str
    is_fine: bool
    of_user: bool
    of_key: bool
    of_provider: bool


def _kind(scope: Scope, group: str) -> _Kind:
    return _Kind(group, scope.is_fine, bool(scope.user_id), bool(scope.access_key_id), scope.provider is not None)


def _given(scope: Scope) -> dict[str, Any]:
    whose = {"user_id": scope.user_id, "access_key_id": scope.access_key_id, "provider": scope.provider}
    return {"since": scope.since, "until": scope.until, **whose}


@lru_cache(maxsize=64)
def _groups(kind: _Kind, measure: str) -> Select[Any]:
    source = _source(kind)
    sums = {name: func.coalesce(func.sum(source.c[name]), 0) for name in SUMMED}
    totals = [func.sum(each).over().label(f"all_{name}") for name, each in sums.items()]
    grouped = [each.label(name) for name, each in sums.items()]
    query = select(source.c.grouped, *grouped, *totals, func.count().over().label("groups")).group_by(source.c.grouped)
    weight = sum((sums[name] for name in _TOKENS[1:]), sums[_TOKENS[0]]) if measure == TOKENS else sums[measure]
    return query.order_by(weight.desc(), source.c.grouped).limit(bindparam("most", type_=Integer))


@lru_cache(maxsize=64)
def _series(kind: _Kind, dialect: str, buckets: int = 0) -> Select[Any]:
    """With buckets of one width for that database, however many there are; else for so many of any width."""
    source = _source(kind)
    number = _number(source.c.at, range(buckets)) if buckets else _counted(source.c.at, dialect)
    named = case((source.c.grouped.in_(bindparam("shown", expanding=True)), source.c.grouped), else_=literal(OTHERS))
    cut = select(number.label("number"), named.label("named"), *(source.c[name] for name in SUMMED))
    inner = cut.subquery()
    sums = [func.sum(inner.c[name]) for name in SUMMED]
    return select(inner.c.number, inner.c.named, *sums).group_by(inner.c.number, inner.c.named)


def _source(kind: _Kind) -> Subquery:
    """Rows with `at`, `grouped` and the summed columns."""
    table = _records() if kind.is_fine else usage_hourly
    at = table.c.at if kind.is_fine else table.c.hour
    wanted = [at >= bindparam("since", type_=UtcTime), at < bindparam("until", type_=UtcTime)]
    limits = {"user_id": kind.of_user, "access_key_id": kind.of_key, "provider": kind.of_provider}
    wanted += [table.c[name] == bindparam(name, type_=String) for name, is_limited in limits.items() if is_limited]
    grouped: Any = table.c[_COLUMNS[kind.group]] if kind.group else literal("")
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


def _width(scope: Scope, begins: Sequence[datetime]) -> int:
    """Seconds, where all buckets last as long and the first has the scope's beginning; else 0: clocks change, months."""
    widths = {after - before for before, after in pairwise(begins)}
    if len(widths) != 1 or scope.since < begins[0]:
        return 0
    return int(widths.pop().total_seconds())


def _counted(moment: ColumnElement[Any], dialect: str) -> ColumnElement[int]:
    """Which bucket, by division; what is behind the last one belongs to it."""
    first, width, last = (bindparam("first", type_=UtcTime), *(bindparam(name, type_=Integer) for name in ("width", "last")))
    if dialect == "postgresql":
        return func.least(cast(func.floor(func.extract("epoch", moment - first) / width), Integer), last)
    return func.min((_unix_s(moment) - _unix_s(first)) // width, last)


def _unix_s(moment: ColumnElement[Any]) -> ColumnElement[int]:
    """In SQLite, which would round. Buckets begin with a second."""
    return cast(func.strftime("%s", func.substr(moment, 1, len("2026-11-27 10:00:00"))), Integer)


def _number(moment: ColumnElement[Any], numbers: range) -> ColumnElement[int]:
    """Which bucket, by halving: both databases understand it, and 400 buckets cost a row nine comparisons."""
    if len(numbers) == 1:
        return literal_column(str(numbers[0]), Integer)
    middle = len(numbers) // 2
    late = numbers[middle:]
    begins = bindparam(_bound(late[0]), type_=UtcTime)
    return case((moment < begins, _number(moment, numbers[:middle])), else_=_number(moment, late))


def _bound(number: int) -> str:
    return f"begin_{number}"
