"""The pages of sessions of Claude Code: the latest of a user or a key, and one with its tree of agents (SPEC section 11).

Knows pages; the figures are `claude_session_operations`'. `?user=` and `?key=` say whose.
"""

from __future__ import annotations

from typing import Any

import falcon

from admin_app import claude_session_operations as does
from admin_app.front import Front, Texts, query_of

HOME = "/admin/sessions"


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    return {HOME: SessionsPage(front), f"{HOME}/{{session_id}}": SessionPage(front)}


class SessionsPage:
    """`/admin/sessions?user=ID` or `?key=ID`: the latest used first."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        query = query_of(req, "user", "key", "cursor")
        if not query["user"] and not query["key"]:
            self._front.show(req, resp, "sessions/list.html", nav="users", listed=None, query=query)
            return
        listed = self._front.ask(work, does.LIST, {**_whose(query), "cursor": query["cursor"]})
        self._front.show(req, resp, "sessions/list.html", nav="users", listed=listed, query=query)


class SessionPage:
    """`/admin/sessions/{session_id}?user=ID` or `?key=ID`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        work = self._front.enter(req, resp)
        query = query_of(req, "user", "key")
        tree = self._front.ask(work, does.GET, {**_whose(query), "session_id": session_id})
        self._front.show(req, resp, "sessions/one.html", nav="users", tree=tree, query=query)


def _whose(query: Texts) -> dict[str, str]:
    """A key is more exact than its user."""
    return {"access_key_id": query["key"]} if query["key"] else {"user_id": query["user"]}
