"""The page of the audit log: filters, the latest first, what was before and after. Read-only."""

from __future__ import annotations

from typing import Any

import falcon

from admin_app import audit_operations as does
from admin_app.front import Front, query_of
from core.pages import words

HOME = "/admin/audit"
_FILTERS = ("admin_id", "action", "target", "since", "until", "cursor")
_NOUNS = ("user", "access_key", "bedrock_key", "claim", "circuit", "price", "model", "repair", "admin", "session", "api_token")


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    return {HOME: AuditPage(front)}


class AuditPage:
    """`/admin/audit`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        listed, query, problems = self._front.find(work, does.LIST, query_of(req, *_FILTERS))
        values = {"listed": listed, "query": query, "problems": problems, "nouns": [(noun, words(noun)) for noun in _NOUNS]}
        self._front.show(req, resp, "audit/list.html", nav="audit", **values)
