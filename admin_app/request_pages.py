"""The pages of requests: the explorer, and one request with what was decided and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import falcon

from admin_app import request_operations as does
from admin_app.front import Front, query_of, see_other

HOME = "/admin/requests"
_FILTERS = ("user_id", "access_key_id", "provider", "fault", "status", "session_id", "since", "until", "counts", "cursor")
# The faults that records carry (proxy_app/faults.py, of which the administration knows nothing); a test compares them.
FAULTS = (
    "plan_exhausted",
    "plan_throttled",
    "plan_entitlement",
    "plan_overloaded",
    "plan_error",
    "plan_unreachable",
    "plan_timeout",
    "plan_auth",
    "bedrock_throttled",
    "bedrock_quota",
    "bedrock_overloaded",
    "bedrock_error",
    "bedrock_unreachable",
    "bedrock_timeout",
    "bedrock_auth",
    "bedrock_denied",
    "bedrock_unsupported",
    "budget_spent",
    "rejected",
    "stream_broken",
    "client_gone",
)


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)Z")
_SKIPPED = re.compile(r"^skipped\((.*)\)$")
_FAULT = re.compile(rf"\b(?:{'|'.join(FAULTS)})\b")


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    return {HOME: RequestsPage(front), f"{HOME}/{{request_id}}": RequestPage(front)}


@dataclass(frozen=True, slots=True)
class Step:
    """One reason code of a trace, for people: `plan:skipped(budget_spent)` is of the plan, "skipped: budget spent"."""

    who: str
    what: str


def step(code: str) -> Step:
    """Names of betas and fields stay as they are; where nobody is named, neither is `who`."""
    who, colon, what = code.partition(":")
    if not colon or who not in ("plan", "bedrock"):
        return Step("", words_of(code))
    if what.isdigit():
        return Step(who, f"answered with {what}")
    return Step(who, words_of(what))


def words_of(code: str) -> str:
    shown = _MOMENT.sub(r"\1 UTC", _SKIPPED.sub(r"skipped: \1", code))
    return _FAULT.sub(lambda found: found[0].replace("_", " "), shown)


class RequestsPage:
    """`/admin/requests`: filters, the latest first. A request id in `find` leads to that request."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        if wanted := query_of(req, "find").get("find"):
            raise see_other(f"{HOME}/{falcon.uri.encode_value(wanted.strip())}")
        listed, query, problems = self._front.find(work, does.LIST, query_of(req, *_FILTERS))
        values = {"listed": listed, "query": query, "problems": problems, "faults": FAULTS}
        self._front.show(req, resp, "requests/list.html", nav="requests", **values)


class RequestPage:
    """`/admin/requests/{request_id}`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, request_id: str) -> None:
        work = self._front.enter(req, resp)
        found = self._front.ask(work, does.GET, {"request_id": request_id})
        self._front.show(
            req, resp, "requests/one.html", nav="requests", request=found, steps=[step(each) for each in found.trace]
        )
