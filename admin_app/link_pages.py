"""The pages of one-time links: making one and withdrawing one (SPEC section 11). They are listed at their user.

Knows pages; what happens is in `claim_operations`. Invariant: a link's address is on the page that answers the form which made
it, and on no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from admin_app import claim_operations as does
from admin_app import user_operations
from admin_app.deeds import Deed, DeedPage, Said
from admin_app.fields import from_texts
from admin_app.front import Front, Texts, problems_of
from admin_app.operation import Work, perform
from core.access import Refused
from core.types import Strategy


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    withdrawing = Deed(does.WITHDRAW, "users", _before_withdrawing, "", "link-withdrawn")
    return {
        "/admin/users/{user_id}/links/new": LinkForm(front),
        "/admin/links/{claim_id}/withdraw": DeedPage(front, withdrawing),
    }


class LinkForm:
    """`/admin/users/{user_id}/links/new`: the answer to the form has the link."""

    performs = does.OPEN

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, user_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        self._show(req, resp, work, user_id, {}, {})

    def on_post(self, req: falcon.Request, resp: falcon.Response, user_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        fields = self._front.form(req)
        try:
            link = self._front.ask(work, does.OPEN, {**fields, "user_id": user_id})
        except Refused as refused:
            self._show(req, resp, work, user_id, fields, problems_of(refused, resp))
        else:
            self._front.show(req, resp, "links/made.html", nav="users", link=link)

    def _show(self, req: Any, resp: Any, work: Work, user_id: str, typed: Mapping[str, str], problems: Any) -> None:
        user = self._front.ask(work, user_operations.GET, {"user_id": user_id})
        values = {"user": user, "values": Texts(typed), "problems": problems, "strategies": tuple(Strategy)}
        self._front.show(req, resp, "links/form.html", nav="users", **values)


def _before_withdrawing(work: Work, params: dict[str, str]) -> Said:
    link: does.LinkShown = perform(does.GET, work, from_texts(does.TheLink, params))
    lines = ("Whoever opens it from now on is told that it has ended. No key was made with it.",)
    return Said(f"Withdraw this link of {link.user_name}?", lines, "Withdraw", f"/admin/users/{link.user_id}")
