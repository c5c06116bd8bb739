"""The dashboard: the page that is opened in the morning, and at three in the night.

Knows HTTP and no SQL. Invariant: with the database away the page still says so, and what this worker knows by itself.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

import falcon

from admin_app import dashboard_operations as does
from admin_app.dashboard_view import charts_of, notes_of
from admin_app.fields import from_texts
from admin_app.front import Front, query_of
from admin_app.operation import Work, perform
from admin_app.usage_view import said
from core.db import DatabaseAway

log = logging.getLogger(__name__)

HOME = "/admin"


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    return {HOME: DashboardPage(front)}


class DashboardPage:
    """`/admin`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter_home(req, resp)
        if work is None:
            return
        asked = query_of(req, "range")
        wanted = from_texts(does.AskDashboard, asked if asked["range"] in does.RANGES else {})
        values = _values(work, wanted)
        if values["away"]:
            resp.set_header("retry-after", "5")
            if not req.get_header("hx-request"):  # HTMX would leave the old figures where they are
                resp.status = falcon.HTTP_503
        self._front.show(req, resp, "dashboard/one.html", nav="dashboard", **values)


def _values(work: Work, wanted: does.AskDashboard) -> dict[str, Any]:
    this, began = work.tools.this_worker(), time.monotonic()
    settings = work.tools.settings
    place = {"environment": settings.environment, "base_url": settings.base_url, "dialect": work.database.dialect}
    known = {**place, "this": this, "ranges": does.RANGES, "range": wanted.range}
    try:
        found = perform(does.GET, work, wanted)
    except DatabaseAway as away:
        log.warning("the dashboard is without the database: %s", away)
        return {**known, "away": True, "notes": notes_of((), [this], 0.0, work.now), "steps": None}
    took_ms = (time.monotonic() - began) * 1000
    when = does.cut_of(wanted, settings.budget_timezone, work.now)
    requests, cost = charts_of(found, when.label)
    charts = {"requests_chart": requests, "cost_chart": cost}
    words = {"said_count": partial(said, measure="requests"), "said_cost": partial(said, measure="cost")}
    notes = notes_of(found.attention, found.workers, took_ms, work.now)
    return {**known, **charts, **words, "away": False, "found": found, "notes": notes, "steps": found.steps, "took_ms": took_ms}
