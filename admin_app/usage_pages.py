"""The page of usage: a chart, the figures beside it, and both as a file for spreadsheets.

Knows HTTP. Invariant: page and file understand the same address; times without a zone in it are the reader's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

import falcon

from admin_app import usage_operations as does
from admin_app.exports import csv_stream
from admin_app.fields import from_texts
from admin_app.front import Front, Texts, query_of
from admin_app.operation import BadFields, Work, perform
from admin_app.usage_ranges import BUCKETS, RANGES, zone_of
from admin_app.usage_view import WORDS, all_tokens, buckets_of, chart_of, heading_of, rows_of, said

HOME = "/admin/usage"
_FIELDS = ("range", "since", "until", "bucket", "group", "measure", "user", "access_key_id", "provider", "zone")
_FIELD_WORDS = MappingProxyType(
    {"since": "From", "until": "Before", "bucket": "By the", "zone": "Time zone", "access_key_id": "Key"}
)
_NOTHING: Mapping[str, Any] = MappingProxyType({"usage": None, "chart": None, "buckets": ()})
_ZONES = (
    "UTC",
    "America/Los_Angeles",
    "America/Denver",
    "America/Chicago",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Helsinki",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
)


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    return {HOME: UsagePage(front), f"{HOME}.csv": UsageFile(front)}


class UsagePage:
    """`/admin/usage`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        query = query_of(req, *_FIELDS)
        budgets = work.tools.settings.budget_timezone
        asked, values, problems = does.AskUsage(zone=budgets), _NOTHING, dict[str, str]()
        try:
            asked = _asked(query, budgets)
            values = _report(work, asked)
        except BadFields as bad:
            problems = bad.problems  # with status 200: HTMX shows no other
        zones = sorted({*_ZONES, budgets, asked.zone or budgets})
        lists = {"ranges": list(RANGES.items()), "bucket_names": BUCKETS, "zones": zones, "measures": list(WORDS.items())}
        given = {"range": asked.range, "group": asked.group, "measure": asked.measure, "zone": asked.zone or budgets}
        form = {"query": query, "shown": Texts({**given, **query}), "fields": _FIELD_WORDS, "problems": problems}
        words = {"said": partial(said, measure=asked.measure), "all_tokens": all_tokens}
        self._front.show(req, resp, "usage/list.html", nav="usage", **values, **lists, **form, **words)


class UsageFile:
    """`/admin/usage.csv`: a row for each bucket and group, as many groups as fit into the bound."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        usage = _for_file(work, query_of(req, *_FIELDS))
        resp.content_type = "text/csv; charset=utf-8"
        resp.set_header("content-disposition", f'attachment; filename="usage-{work.now:%Y-%m-%d}.csv"')
        resp.stream = csv_stream(rows_of(usage), heading_of(usage))


def _report(work: Work, asked: does.AskUsage) -> Mapping[str, Any]:
    """Raises BadFields."""
    if asked.range == "custom" and asked.since is None:
        return _NOTHING
    usage = perform(does.GET, work, asked)
    label = does.cut_of(asked, work.tools.settings.budget_timezone, work.now).label
    return {"usage": usage, "chart": chart_of(usage, asked.measure, label), "buckets": buckets_of(usage, label)}


def _for_file(work: Work, query: Texts) -> does.UsageShown:
    asked = _asked(query, work.tools.settings.budget_timezone)
    buckets = len(does.cut_of(asked, work.tools.settings.budget_timezone, work.now).begins)
    fields = {name: getattr(asked, name) for name in asked.__struct_fields__}
    wanted = does.AskUsage(**{**fields, "top": min(1000, does.MOST_FIGURES // buckets)})
    usage: does.UsageShown = perform(does.GET, work, wanted)
    return usage


def _asked(query: Texts, zone: str) -> does.AskUsage:
    """Raises BadFields. The form sends the ends of a range of one's own with ranges by name, too, where they do not count."""
    named, is_own = zone_of(query["zone"] or zone), query["range"] == "custom"
    local = {name: _local(query[name], named) if is_own else "" for name in ("since", "until") if query[name]}
    return from_texts(does.AskUsage, {**query, **local})


def _local(text: str, zone: Any) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat()
