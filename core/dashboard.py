"""What the dashboard asks besides usage: spend, latency, how full plans are, and what needs somebody's attention.

Read-only functions on a Connection, one query each. Knows no page. Invariants: each is bounded by a limit or by the number of
keys, never by the number of requests; nothing secret is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    bindparam,
    case,
    func,
    literal,
    not_,
    or_,
    select,
    union_all,
)

from core.circuit_rows import OPEN
from core.columns import UtcTime
from core.models import access_keys, bedrock_keys, circuits, requests, users
from core.spend_models import plan_windows, spend_monthly
from core.types import KeyHealth, UserStatus

TOP = 5
SAMPLE = 1000
NOTICE = timedelta(days=14)
FULL = 0.8
_WINDOWS = ("5h", "7d")
_PLAN_FRESH = timedelta(days=7)
_WARN_PERCENT = 80
_NOW, _SOON, _SINCE, _FRESH = (bindparam(name, type_=UtcTime) for name in ("now", "soon", "since", "fresh"))
_MONTH, _LAST_MONTH = bindparam("month", type_=String), bindparam("last_month", type_=String)


@dataclass(frozen=True, slots=True)
class Spender:
    """`name` is empty where the user is gone."""

    user_id: str
    name: str
    cost_micros: int


@dataclass(frozen=True, slots=True)
class Spend:
    """On Bedrock: in this budgets' month and in the one before; the users that spent most in this one."""

    this_month_micros: int
    last_month_micros: int
    top: tuple[Spender, ...]


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the latest answers, in milliseconds; `count` of them."""

    count: int
    first_byte_p50: float
    first_byte_p95: float
    overhead_p50: float
    overhead_p95: float


@dataclass(frozen=True, slots=True)
class PlanUse:
    """The share (1.0: used up) of the fuller of a plan's two windows, as last told."""

    access_key_id: str
    user_id: str
    user_name: str
    prefix: str
    share: float


@dataclass(frozen=True, slots=True)
class PlanUses:
    """`full` of `told` plans are used by more than 80 %."""

    told: int
    full: int
    fullest: tuple[PlanUse, ...]


@dataclass(frozen=True, slots=True)
class Attention:
    """`kind`: circuit, bedrock_health, bedrock_expiry, key_expiry, user_budget or key_budget; `total` is how many of the kind.

    `what` is a reason, a region, a key's first characters or a model's family; `percent` is of a budget.
    """

    kind: str
    id: str
    user_id: str
    user_name: str
    what: str
    at: datetime
    percent: int
    total: int


def spend_of(connection: Connection, this_month: str, last_month: str) -> Spend:
    """The months' names as core.budget gives them."""
    rows = connection.execute(_SPEND, {"month": this_month, "last_month": last_month}).all()
    top = tuple(Spender(row.user_id, row.name, int(row.this)) for row in rows if row.this)
    return Spend(int(rows[0].all_this), int(rows[0].all_last), top) if rows else Spend(0, 0, ())


def latency_of(connection: Connection, since: datetime) -> Latency:
    """Of good answers among the latest SAMPLE requests since then."""
    count, *figures = connection.execute(_LATENCY, {"since": since}).one()
    return Latency(int(count), *map(float, figures)) if count else Latency(0, 0.0, 0.0, 0.0, 0.0)


def plan_uses(connection: Connection, now: datetime) -> PlanUses:
    """Of plans that told of themselves within the last week; a window that was reset since is empty."""
    rows = connection.execute(_PLANS, {"now": now, "fresh": now - _PLAN_FRESH}).all()
    fullest = tuple(PlanUse(row.access_key_id, row.user_id, row.name, row.prefix, float(row.share)) for row in rows)
    return PlanUses(int(rows[0].told), int(rows[0].full), fullest) if rows else PlanUses(0, 0, ())


def attention(connection: Connection, now: datetime, month: str) -> tuple[Attention, ...]:
    """At most TOP of each kind, the most urgent first."""
    rows = connection.execute(_ATTENTION, {"now": now, "soon": now + NOTICE, "month": month})
    return tuple(Attention(row[0], row[1], row[2], row[3], row[4], row[5], int(row[6]), int(row[7])) for row in rows)


def _spend() -> Select[Any]:
    table = spend_monthly.c
    this, last = (func.sum(case((table.month == month, table.cost_micros), else_=0)) for month in (_MONTH, _LAST_MONTH))
    by_user = select(table.user_id, this.label("this"), last.label("last")).where(table.month.in_([_MONTH, _LAST_MONTH]))
    sums = by_user.group_by(table.user_id).subquery()
    whole = (func.sum(sums.c.this).over().label("all_this"), func.sum(sums.c.last).over().label("all_last"))
    source = sums.outerjoin(users, users.c.id == sums.c.user_id)
    query = select(sums.c.user_id, sums.c.this, *whole, func.coalesce(users.c.name, "").label("name")).select_from(source)
    return query.order_by(sums.c.this.desc(), sums.c.user_id).limit(TOP)


def _latency() -> Select[Any]:
    """The count, then the median and the 95th percentile of each: those in their places when all stand in line."""
    table = requests.c
    looked_at = (table.first_byte_ms, table.overhead_ms, table.endpoint, table.status)
    latest = select(*looked_at).where(table.started_at >= _SINCE).order_by(table.started_at.desc()).limit(SAMPLE).subquery()
    is_good = and_(latest.c.endpoint == "messages", latest.c.status == 200, latest.c.first_byte_ms > 0)
    measures = (latest.c.first_byte_ms, latest.c.overhead_ms)
    places = [func.row_number().over(order_by=each).label(f"place_{each.name}") for each in measures]
    line = select(*measures, *places, func.count().over().label("all")).where(is_good).subquery()
    wanted = (line.c.all // 2, line.c.all * 95 // 100)
    found = [func.max(case((line.c[f"place_{each.name}"] == at + 1, line.c[each.name]))) for each in measures for at in wanted]
    columns: list[Any] = [func.count(), *found]
    return select(*columns).select_from(line)


def _plans() -> Select[Any]:
    """Plans are put together only where a window is nearly full: that is enough to count those, and mostly for the fullest.
    All are, as far as others are needed to fill the list. How many there are, their rows of no window tell."""
    table = plan_windows.c
    is_fresh, is_over = table.seen_at > _FRESH, and_(table.resets_at.is_not(None), table.resets_at <= _NOW)
    is_told = and_(table.utilization.is_not(None), table.window.in_(_WINDOWS), is_fresh)
    share = case((is_over, 0.0), else_=table.utilization)
    is_full = and_(table.utilization > FULL, is_told, not_(is_over))
    full = (
        select(table.access_key_id, func.max(share).label("share")).where(is_full).group_by(table.access_key_id).cte("full_plans")
    )
    how_many = select(func.count()).select_from(full).scalar_subquery()
    others = select(table.access_key_id, func.max(share)).where(is_told, how_many < TOP).group_by(table.access_key_id)
    either = union_all(select(full.c.access_key_id, full.c.share), others.having(func.max(share) <= FULL)).subquery()
    ranked = select(either).order_by(either.c.share.desc(), either.c.access_key_id).limit(TOP).subquery()
    told = select(func.count()).select_from(plan_windows).where(table.window == "", is_fresh).scalar_subquery()
    source = ranked.join(access_keys, access_keys.c.id == ranked.c.access_key_id).join(users, users.c.id == access_keys.c.user_id)
    columns = (access_keys.c.prefix, access_keys.c.user_id, users.c.name, told.label("told"), how_many.label("full"))
    return select(ranked, *columns).select_from(source).order_by(ranked.c.share.desc(), ranked.c.access_key_id)


def _told(kind: str, columns: tuple[Any, ...], percent: ColumnElement[Any] | None = None) -> Select[Any]:
    """`columns`: id, user_id, user_name, what, at."""
    named = [each.label(name) for each, name in zip(columns, ("id", "user_id", "user_name", "what", "at"), strict=True)]
    amount = literal(0) if percent is None else percent
    return select(literal(kind).label("kind"), *named, amount.label("percent"), func.count().over().label("total"))


def _circuits() -> Select[Any]:
    table = circuits.c
    owner = func.coalesce(access_keys.c.user_id, bedrock_keys.c.user_id)
    source = (
        circuits.outerjoin(access_keys, access_keys.c.id == table.access_key_id)
        .outerjoin(bedrock_keys, bedrock_keys.c.id == table.bedrock_key_id)
        .outerjoin(users, users.c.id == owner)
    )
    columns = (table.name, func.coalesce(owner, ""), func.coalesce(users.c.name, ""), table.fault, table.until)
    query = _told("circuit", columns).select_from(source).where(table.state == OPEN, table.until > _NOW)
    return query.order_by(table.opened_at, table.name).limit(TOP)


def _bedrock(kind: str, what: ColumnElement[Any], at: ColumnElement[Any]) -> Select[Any]:
    table = bedrock_keys.c
    query = _told(kind, (table.id, table.user_id, users.c.name, what, at)).join(users, users.c.id == table.user_id)
    return query.where(table.deleted_at.is_(None), users.c.status != UserStatus.DELETED)


def _unhealthy() -> Select[Any]:
    table = bedrock_keys.c
    query = _bedrock("bedrock_health", table.health_reason, func.coalesce(table.tested_at, table.updated_at))
    return query.where(table.health == KeyHealth.UNHEALTHY).order_by(table.id).limit(TOP)


def _ending_bedrock() -> Select[Any]:
    table = bedrock_keys.c
    query = _bedrock("bedrock_expiry", table.region, table.expires_at).where(table.expires_at <= _SOON)
    return query.order_by(table.expires_at).limit(TOP)


def _ending_keys() -> Select[Any]:
    table = access_keys.c
    columns = (table.id, table.user_id, users.c.name, table.prefix, table.expires_at)
    query = _told("key_expiry", columns).join(users, users.c.id == table.user_id)
    is_ending = and_(table.expires_at > _NOW, table.expires_at <= _SOON, table.revoked_at.is_(None))
    return query.where(is_ending, users.c.status == UserStatus.ACTIVE).order_by(table.expires_at).limit(TOP)


def _user_budgets() -> Select[Any]:
    spent = (
        select(spend_monthly.c.user_id, func.sum(spend_monthly.c.cost_micros).label("micros"))
        .where(spend_monthly.c.month == _MONTH)
        .group_by(spend_monthly.c.user_id)
        .subquery()
    )
    budget, table = users.c.monthly_budget_micros, users.c
    percent = _percent(spent.c.micros, budget)
    query = _told("user_budget", (table.id, table.id, table.name, literal(""), table.updated_at), percent)
    query = query.join(spent, spent.c.user_id == table.id).where(_is_used(spent.c.micros, budget))
    return query.where(table.status != UserStatus.DELETED).order_by(percent.desc(), table.id).limit(TOP)


def _key_budgets() -> Select[Any]:
    table, spent = access_keys.c, spend_monthly.c
    budget = table.monthly_budget_micros
    percent = _percent(spent.cost_micros, budget)
    columns = (table.id, table.user_id, users.c.name, table.prefix, table.updated_at)
    query = _told("key_budget", columns, percent).select_from(
        access_keys.join(users, users.c.id == table.user_id).join(spend_monthly, spent.access_key_id == table.id)
    )
    is_used = and_(spent.month == _MONTH, _is_used(spent.cost_micros, budget), table.revoked_at.is_(None))
    return query.where(is_used).order_by(percent.desc(), table.id).limit(TOP)


def _percent(spent: ColumnElement[Any], budget: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((budget > 0, spent * 100 / func.nullif(budget, 0)), else_=100)


def _is_used(spent: ColumnElement[Any], budget: ColumnElement[Any]) -> ColumnElement[bool]:
    """Of a budget of nothing, all is used, as core.budget has it."""
    return and_(budget.is_not(None), or_(spent * 100 >= budget * _WARN_PERCENT, budget <= 0))


# Put together once: that alone takes longer than the questions.
_SPEND, _LATENCY, _PLANS = _spend(), _latency(), _plans()
_KINDS = (_circuits, _unhealthy, _ending_bedrock, _ending_keys, _user_budgets, _key_budgets)
_ATTENTION = union_all(*(select(kind().subquery()) for kind in _KINDS))
