"""The pages of sessions of Claude Code: the latest of all, of a user or a key; one with its tree of agents (SPEC section 11).

Knows pages; the figures are `claude_session_operations'`. `?user=` (an id or a name) and `?key=` say whose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import falcon

from admin_app import claude_session_operations as does
from admin_app.front import Front, Texts, query_of
from admin_app.operation import BadFields, Work

HOME = "/admin/sessions"
FILTERS = ("user", "key", "answered", "since", "until", "cursor")
_FIELDS = MappingProxyType({"user": "user_id", "key": "access_key_id"})
_LEAST_SEEN = 1.5
_NAMES = MappingProxyType({field: name for name, field in _FIELDS.items()})


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    return {HOME: SessionsPage(front), f"{HOME}/{{session_id}}": SessionPage(front)}


class SessionsPage:
    """`/admin/sessions`: filters, the latest used first."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        query = query_of(req, *FILTERS)
        listed, problems = self._find(work, query)
        values = {"listed": listed, "query": query, "problems": problems}
        self._front.show(req, resp, "sessions/list.html", nav="sessions", **values)

    def _find(self, work: Work, query: Texts) -> tuple[Any, Mapping[str, str]]:
        """Nothing where the query is wrong: of sessions of somebody else one could think that they are whose one asked for."""
        try:
            return self._front.ask(work, does.LIST, fields_of(query)), {}
        except BadFields as bad:  # with status 200: HTMX shows no other
            return None, {_NAMES.get(name, name): text for name, text in bad.problems.items()}


class SessionPage:
    """`/admin/sessions/{session_id}?user=ID` or `?key=ID`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        work = self._front.enter(req, resp)
        query = query_of(req, "user", "key")
        tree = self._front.ask(work, does.GET, {**_whose(query), "session_id": session_id})
        courses = [(line, course_of(line.with_below, tree.figures)) for line in tree.agents]
        self._front.show(req, resp, "sessions/one.html", nav="sessions", tree=tree, courses=courses, query=query)


@dataclass(frozen=True, slots=True)
class Course:
    """Where a bar lies among 100, and how much of it each answered."""

    x: float
    plan: float
    bedrock: float
    nobody: float


def course_of(part: does.FiguresShown, whole: does.FiguresShown) -> Course:
    """Of an agent in its session. What took but a moment is seen, too."""
    seconds = (whole.last_at - whole.first_at).total_seconds()
    share = (part.last_at - part.first_at).total_seconds() / seconds if seconds else 1.0
    width = max(_LEAST_SEEN, 100 * share)
    begins = 100 * (part.first_at - whole.first_at).total_seconds() / seconds if seconds else 0.0
    of_each = (width * number / part.requests for number in (part.plan, part.bedrock, part.nobody))
    return Course(round(min(begins, 100 - width), 2), *(round(each, 2) for each in of_each))


def fields_of(query: Texts) -> dict[str, str]:
    """As the operation calls them."""
    return {_FIELDS.get(name, name): text for name, text in query.items()}


def _whose(query: Texts) -> dict[str, str]:
    """A key is more exact than its user."""
    return {"access_key_id": query["key"]} if query["key"] else {"user_id": query["user"]}
