"""The overview: how the proxy is, who uses it, what it did last. One page, read-only.

Knows the page's facts and no SQL. Invariant: with the database away the page still says so, and what this worker knows by
itself: it is the page that is opened at three in the morning.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import falcon

from admin_app.front import Front
from core.db import Database, DatabaseAway
from core.heartbeat import WorkerSeen
from core.reports import USERS_A_PAGE, Sums, overview

log = logging.getLogger(__name__)

_LAST_PAGE = 100_000
_AWAY = "The database is away. The owner can sign in meanwhile, and sees how this worker is."


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page asks for besides the tables. `this_worker` answers from memory, `now` is aware UTC."""

    place: str
    this_worker: Callable[[], WorkerSeen]
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic


class OverviewPage:
    """`/admin`."""

    def __init__(self, front: Front, database: Database, facts: Facts) -> None:
        self._front = front
        self._database = database
        self._facts = facts

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if self._front.enter_home(req, resp) is None:
            return
        values = self._values(req.get_param_as_int("page", default=1, min_value=1, max_value=_LAST_PAGE) or 1)
        if values["away"]:
            resp.status = falcon.HTTP_503
            resp.set_header("retry-after", "5")
        self._front.show(req, resp, "overview.html", nav="dashboard", **values)

    def _values(self, page: int) -> dict[str, Any]:
        facts, now = self._facts, self._facts.now()
        this = facts.this_worker()
        known = {"place": facts.place, "dialect": self._database.dialect, "this": this, "page": page}
        began = facts.clock()
        try:
            found = self._database.read(lambda connection: overview(connection, now, page))
        except DatabaseAway as away:
            log.warning("the overview is without the database: %s", away)
            return {**known, "away": True, "workers": [this]}
        figures = {"took_ms": (facts.clock() - began) * 1000, "last_page": max(1, -(-found.users.total // USERS_A_PAGE))}
        others = [each for each in found.workers if each.worker.id != this.worker.id]
        workers = [this, *others]  # its row may be some seconds old
        return {**known, **figures, "away": False, "found": found, "workers": workers, "total": _total(found.today)}


def _total(sums: tuple[Sums, ...]) -> Sums:
    counted = ("requests", "errors", "fallbacks", "input_tokens", "output_tokens", "cost_micros", "list_value_micros")
    return Sums("", *(sum(getattr(each, name) for each in sums) for name in counted))
