"""The dashboard as one question: how it goes, what it costs, what needs somebody (SPEC section 11).

Invariants: at most seven queries whatever the tables hold; nothing is asked of another system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from admin_app.fields import usd
from admin_app.operation import Doing, Offer, Operation, Shape, Shown, asks
from admin_app.usage_operations import Figures, UsageSeries, Zone, figures_of
from admin_app.usage_ranges import Cut, cut, range_of, zone_of
from core.actor import Role
from core.budget import month_of
from core.dashboard import Attention, Latency, PlanUses, Spend, attention, latency_of, plan_uses, spend_of
from core.first_steps import FirstSteps, first_steps
from core.heartbeat import WorkerSeen, list_workers
from core.ledger import SUMMED
from core.usage_series import OTHERS, Scope, series_of

RANGES: Mapping[str, str] = {"today": "Today", "24h": "24 hours", "7d": "7 days"}
_BUCKETS = {"today": "hour", "24h": "hour", "7d": "day"}
_PROVIDERS = (("plan", "Plan"), ("bedrock", "Bedrock"), ("", "Nobody"), (OTHERS, "Others"))


class AskDashboard(Shape, frozen=True, kw_only=True):
    """`zone` is whose midnights count; empty: that of the budgets."""

    range: Literal["today", "24h", "7d"] = "24h"
    zone: Zone = ""


@dataclass(frozen=True, slots=True)
class StepsShown:
    """`has_server_secret` is true wherever this runs: nothing is served without. `base_url` is the proxy's."""

    found: FirstSteps
    has_server_secret: bool
    base_url: str


class DashboardShown(Shown, frozen=True, kw_only=True):
    """`plan_value_usd` is what the plans' answers would have cost by Anthropic's list. `steps` null: all is set up.

    `attention` has the most urgent of each kind; what workers say of themselves is in `workers`.
    """

    since: datetime
    until: datetime
    bucket: str
    zone: str
    begins: list[datetime]
    series: list[UsageSeries]
    total: Figures
    plan_value_usd: Decimal
    spend: Spend
    spent_this_month_usd: Decimal
    spent_last_month_usd: Decimal
    latency: Latency
    plans: PlanUses
    attention: list[Attention]
    workers: list[WorkerSeen]
    steps: StepsShown | None


def cut_of(taken: AskDashboard, zone: str, now: datetime) -> Cut:
    """The range and its buckets."""
    named = zone_of(taken.zone or zone)
    since, until = range_of(taken.range, named, now, None, None)
    return cut(since, until, _BUCKETS[taken.range], named)


def _dashboard(doing: Doing, taken: AskDashboard) -> DashboardShown:
    connection, settings = doing.connection, doing.tools.settings
    when = cut_of(taken, settings.budget_timezone, doing.now)
    scope = Scope(when.since, when.until)
    ids = [name for name, _ in _PROVIDERS[:-1]]
    points = series_of(connection, scope, "provider", ids, when.begins)
    month = month_of(doing.now, ZoneInfo(settings.budget_timezone))
    last = month_of(month.begins - timedelta(days=1), ZoneInfo(settings.budget_timezone))
    spend = spend_of(connection, month.name, last.name)
    steps = first_steps(connection)
    plans = _sums(points, "plan")
    return DashboardShown(
        since=when.since,
        until=when.until,
        bucket=when.bucket,
        zone=str(when.zone),
        begins=list(when.begins),
        series=_series(points, len(when.begins)),
        total=figures_of(_sums(points, *(name for name, _ in _PROVIDERS))),
        plan_value_usd=usd(plans["list_value_micros"]) or Decimal(0),
        spend=spend,
        spent_this_month_usd=usd(spend.this_month_micros) or Decimal(0),
        spent_last_month_usd=usd(spend.last_month_micros) or Decimal(0),
        latency=latency_of(connection, when.since),
        plans=plan_uses(connection, doing.now),
        attention=list(attention(connection, doing.now, month.name)),
        workers=_workers(doing, list_workers(connection)),
        steps=None if steps.are_done else StepsShown(steps, doing.tools.server_secret != "", settings.base_url),
    )


def _series(points: Mapping[tuple[int, str], dict[str, int]], count: int) -> list[UsageSeries]:
    """Those in which anything was."""
    there = {identity for _, identity in points}
    return [
        UsageSeries(
            id=identity,
            name=name,
            figures=[figures_of(sums) if (sums := points.get((number, identity))) else None for number in range(count)],
        )
        for identity, name in _PROVIDERS
        if identity in there
    ]


def _sums(points: Mapping[tuple[int, str], dict[str, int]], *providers: str) -> dict[str, int]:
    wanted = [sums for (_, provider), sums in points.items() if provider in providers]
    return {name: sum(each[name] for each in wanted) for name in SUMMED}


def _workers(doing: Doing, rows: Sequence[WorkerSeen]) -> list[WorkerSeen]:
    """The one that answers first, as it is now: its row may be some seconds old."""
    this = doing.tools.this_worker()
    return [this, *(each for each in rows if each.worker.id != this.worker.id)]


GET = Operation("getDashboard", "How it goes", Role.VIEWER, AskDashboard, DashboardShown, asks(_dashboard))

OFFERS = (Offer("GET", "/dashboard", GET, tag="Usage"),)
