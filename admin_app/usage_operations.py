"""Usage as admins ask for it: sums of a range by user, key, model or provider, and how they went (SPEC section 11).

Invariants: a fixed number of queries; the sums of the series, of the groups' totals and of the ledger are the same; an answer
holds at most MOST_FIGURES figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import Meta

from admin_app.fields import Moment, Text, usd
from admin_app.operation import BadFields, Doing, Offer, Operation, Shape, Shown, asks
from admin_app.usage_ranges import Cut, cut, range_of, zone_of
from core.actor import Role
from core.threads import paced
from core.usage_series import OTHERS, Groups, Scope, find_user_id, groups_in, names_of, series_of

MOST_FIGURES = 50_000
LISTED = 100
GROUPS = ("provider", "user", "key", "model")
MEASURES: Mapping[str, str] = {
    "requests": "requests",
    "cost": "cost_micros",
    "value": "list_value_micros",
    "tokens": "tokens",
    "errors": "errors",
    "fallbacks": "fallbacks",
}

_PROVIDERS = MappingProxyType({"plan": "Plan", "bedrock": "Bedrock", "": "Nobody"})

Range = Literal["3h", "today", "24h", "7d", "30d", "month", "custom"]
Bucket = Literal["", "minute", "hour", "day", "week", "month"]
Zone = Annotated[
    str, Meta(max_length=60, pattern=r"^([A-Za-z]+([/_+-][A-Za-z0-9]+)*)?$", description="a zone such as Europe/Berlin")
]
Top = Annotated[int, Meta(ge=1, le=1000, description="1 to 1000")]


class Figures(Shown, frozen=True, kw_only=True):
    """`input_tokens` without cached ones. `cost_usd` is what Bedrock charged, `list_value_usd` the price by Anthropic's list."""

    requests: int
    errors: int
    fallbacks: int
    input_tokens: int
    output_tokens: int
    cache_write_tokens: int
    cache_read_tokens: int
    cost_usd: Decimal
    list_value_usd: Decimal


class UsageGroup(Shown, frozen=True, kw_only=True):
    """A user, key, model or provider, over the whole range. `id` of a provider is empty where none answered."""

    id: str
    name: str
    figures: Figures


class UsageSeries(Shown, frozen=True, kw_only=True):
    """`figures` bucket by bucket, null where nothing was. `id` "*" is all that has no series of its own."""

    id: str
    name: str
    figures: list[Figures | None]


class UsageShown(Shown, frozen=True, kw_only=True):
    """`begins` are the beginnings of the buckets; `groups` the largest of `group_count`, `total` of all."""

    since: datetime
    until: datetime
    bucket: str
    zone: str
    group: str
    begins: list[datetime]
    series: list[UsageSeries]
    groups: list[UsageGroup]
    group_count: int
    total: Figures


class AskUsage(Shape, frozen=True, kw_only=True):
    """`range` by name, or "custom" with `since` and perhaps `until`. `user` is a name or an id, `access_key_id` an id.

    `bucket` empty: the one that fits; by the minute for at most six hours. The `top` groups by `measure` get a series each.
    """

    range: Range = "7d"
    since: Moment | None = None
    until: Moment | None = None
    bucket: Bucket = ""
    group: Literal["provider", "user", "key", "model"] = "provider"
    measure: Literal["requests", "cost", "value", "tokens", "errors", "fallbacks"] = "requests"
    user: Text = ""
    access_key_id: Text = ""
    provider: Literal["", "plan", "bedrock", "none"] = ""
    zone: Zone = ""
    top: Top = 6


def cut_of(taken: AskUsage, zone: str, now: datetime) -> Cut:
    """The range and its buckets. Raises BadFields."""
    named = zone_of(taken.zone or zone)
    since, until = range_of(taken.range, named, now, taken.since, taken.until)
    return cut(since, until, taken.bucket, named)


def _usage(doing: Doing, taken: AskUsage) -> UsageShown:
    when = cut_of(taken, doing.tools.settings.budget_timezone, doing.now)
    if len(when.begins) * taken.top > MOST_FIGURES:
        raise BadFields({"top": f"must be at most {MOST_FIGURES // len(when.begins)} for {len(when.begins)} buckets"})
    scope = _scope(doing, taken, when)
    found = groups_in(doing.connection, scope, taken.group, MEASURES[taken.measure], max(LISTED, taken.top))
    shown = [each.id for each in found.largest[: taken.top]]
    points = series_of(doing.connection, scope, taken.group, shown, when.begins)
    names = names_of(doing.connection, taken.group, [each.id for each in found.largest])
    return UsageShown(
        since=when.since,
        until=when.until,
        bucket=when.bucket,
        zone=str(when.zone),
        group=taken.group,
        begins=list(when.begins),
        series=_series(taken, found, points, names, len(when.begins)),
        groups=[
            UsageGroup(id=each.id, name=_name(taken.group, each.id, names), figures=figures_of(each.sums))
            for each in paced(found.largest)
        ],
        group_count=found.count,
        total=figures_of(found.total),
    )


def _scope(doing: Doing, taken: AskUsage, when: Cut) -> Scope:
    user_id = find_user_id(doing.connection, taken.user) if taken.user else ""
    if taken.user and not user_id:
        raise BadFields({"user": "nobody is called so"})
    provider = {"": None, "none": ""}.get(taken.provider, taken.provider)
    return Scope(when.since, when.until, user_id, taken.access_key_id, provider, is_fine=when.bucket == "minute")


def _series(
    taken: AskUsage, found: Groups, points: Mapping[tuple[int, str], dict[str, int]], names: Mapping[str, str], count: int
) -> list[UsageSeries]:
    ids = [each.id for each in found.largest[: taken.top]]
    ids += [OTHERS] if found.count > len(ids) else []
    return [
        UsageSeries(
            id=each,
            name=_name(taken.group, each, names),
            figures=[figures_of(sums) if (sums := points.get((number, each))) else None for number in range(count)],
        )
        for each in paced(ids)
    ]


def _name(group: str, identity: str, names: Mapping[str, str]) -> str:
    if identity == OTHERS:
        return "others"
    if group in ("user", "key"):
        return names.get(identity, identity)
    if group == "provider":
        return _PROVIDERS.get(identity, identity)
    place, _, model = identity.rpartition("anthropic.")
    return f"{model}, Bedrock" if place or identity.startswith("anthropic.") else model


def figures_of(sums: Mapping[str, int]) -> Figures:
    return Figures(
        requests=sums["requests"],
        errors=sums["errors"],
        fallbacks=sums["fallbacks"],
        input_tokens=sums["input_tokens"],
        output_tokens=sums["output_tokens"],
        cache_write_tokens=sums["cache_write_5m_tokens"] + sums["cache_write_1h_tokens"],
        cache_read_tokens=sums["cache_read_tokens"],
        cost_usd=usd(sums["cost_micros"]) or Decimal(0),
        list_value_usd=usd(sums["list_value_micros"]) or Decimal(0),
    )


GET = Operation("getUsage", "Usage over time", Role.VIEWER, AskUsage, UsageShown, asks(_usage))

OFFERS = (Offer("GET", "/usage", GET, tag="Usage"),)
