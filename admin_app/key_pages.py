"""The pages of access keys: the list, one key, issuing, changing, rotating and revoking one (SPEC section 11).

Knows pages; what happens is in `access_key_operations`. Invariant: a key's text is on the page that answers the form which made
it, and on no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import falcon

from admin_app import access_key_operations as does
from admin_app import circuit_operations, user_operations, whole_operations
from admin_app.deeds import Deed, DeedPage, Said
from admin_app.edits import Edit, as_texts, edit_of
from admin_app.fields import from_texts
from admin_app.front import Front, Texts, problems_of, query_of, see_other
from admin_app.operation import Work, perform
from core.access import Refused
from core.key_list import KeySort, KeyStatus
from core.types import ProviderName, Strategy

HOME = "/admin/keys"
FILTERS = ("search", "user_id", "status", "sort", "cursor")
_WORDS = {"strategies": tuple(Strategy), "statuses": tuple(KeyStatus), "sorts": tuple(KeySort)}
_GRACES = (("300", "5 minutes"), ("3600", "1 hour"), ("86400", "1 day"), ("604800", "7 days"), ("0", "none: it ends at once"))


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    one = f"{HOME}/{{key_id}}"
    return {
        HOME: KeysPage(front),
        "/admin/users/{user_id}/keys/new": IssuePage(front),
        one: KeyPage(front),
        f"{one}/edit": ChangePage(front),
        f"{one}/rotate": RotatePage(front),
        f"{one}/revoke": DeedPage(front, Deed(does.REVOKE, "keys", _before_revoking, one, "key-revoked")),
        f"{one}/circuits": CircuitsOfKey(front),
    }


class KeysPage:
    """`/admin/keys`: search, filter, sort, page."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        listed, query, _ = self._front.find(work, does.LIST, query_of(req, *FILTERS))
        self._front.show(req, resp, "keys/list.html", nav="keys", listed=listed, query=query, **_WORDS)


class KeyPage:
    """`/admin/keys/{key_id}`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        work = self._front.enter(req, resp)
        whole = self._front.ask(work, whole_operations.KEY, {"key_id": key_id})
        root = work.tools.settings.base_url
        self._front.show(req, resp, "keys/one.html", nav="keys", whole=whole, key=whole.key, root=root)


class IssuePage:
    """`/admin/users/{user_id}/keys/new`: the answer to the form has the key."""

    performs = does.ISSUE

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, user_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        self._show(req, resp, work, user_id, {}, {})

    def on_post(self, req: falcon.Request, resp: falcon.Response, user_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        fields = self._front.form(req)
        try:
            issued = self._front.ask(work, does.ISSUE, {**fields, "user_id": user_id})
        except Refused as refused:
            self._show(req, resp, work, user_id, fields, problems_of(refused, resp))
        else:
            show_issued(self._front, req, resp, issued)

    def _show(self, req: Any, resp: Any, work: Work, user_id: str, typed: Mapping[str, str], problems: Any) -> None:
        user = self._front.ask(work, user_operations.GET, {"user_id": user_id})
        values = {"user": user, "key": None, "values": Texts(typed), "was": {}, "problems": problems}
        self._front.show(req, resp, "keys/form.html", nav="users", **values, **_WORDS)


class ChangePage:
    """`/admin/keys/{key_id}/edit`."""

    performs = does.CHANGE

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        self._show(req, resp, self._front.ask(work, does.GET, {"key_id": key_id}), Edit({}), {})

    def on_post(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        edit = edit_of(self._front.form(req))
        try:
            self._front.ask(work, does.editing(edit), {**edit.fields, "key_id": key_id})
        except Refused as refused:
            key = self._front.ask(work, does.GET, {"key_id": key_id})
            self._show(req, resp, key, edit, problems_of(refused, resp))
        else:
            raise see_other(f"{HOME}/{key_id}", "key-changed")

    def _show(self, req: Any, resp: Any, key: does.KeyShown, edit: Edit, problems: Mapping[str, str]) -> None:
        there_is = as_texts({name: getattr(key, name) for name in does.FORM})
        was = edit.shown_again(there_is, is_seen=resp.status == falcon.HTTP_409)
        values = {"user": None, "key": key, "values": Texts({**there_is, **edit.fields}), "was": was, "problems": problems}
        self._front.show(req, resp, "keys/form.html", nav="keys", **values, **_WORDS)


class RotatePage:
    """`/admin/keys/{key_id}/rotate`: the answer to the form has the key's new text."""

    performs = does.ROTATE

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        self._show(req, resp, work, key_id, {}, {})

    def on_post(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        fields = self._front.form(req)
        try:
            issued = self._front.ask(work, does.ROTATE, {**fields, "key_id": key_id})
        except Refused as refused:
            self._show(req, resp, work, key_id, fields, problems_of(refused, resp))
        else:
            show_issued(self._front, req, resp, issued, is_rotated=True)

    def _show(self, req: Any, resp: Any, work: Work, key_id: str, typed: Mapping[str, str], problems: Any) -> None:
        key = self._front.ask(work, does.GET, {"key_id": key_id})
        values = {"key": key, "graces": _GRACES, "values": Texts(typed), "problems": problems}
        self._front.show(req, resp, "keys/rotate.html", nav="keys", **values)


class CircuitsOfKey:
    """`POST /admin/keys/{key_id}/circuits`: closes one of them. Nothing is lost by it: it opens again when it must."""

    performs = circuit_operations.CLOSE

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_post(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        named = circuit_operations.circuit_id(ProviderName.PLAN, key_id, self._front.form(req).get("family", ""))
        self._front.ask(work, circuit_operations.CLOSE, {"circuit_id": named})
        raise see_other(f"{HOME}/{key_id}", "circuit-closed")


def show_issued(front: Front, req: Any, resp: Any, issued: does.IssuedShown, *, is_rotated: bool = False) -> None:
    """The one page with a key's text."""
    settings = json.dumps({"env": {"ANTHROPIC_BASE_URL": issued.base_url}}, indent=2)
    root = issued.base_url.rpartition("/ak/")[0]
    values = {"issued": issued, "settings": settings, "root": root, "is_rotated": is_rotated}
    front.show(req, resp, "keys/issued.html", nav="keys", **values)


def _before_revoking(work: Work, params: dict[str, str]) -> Said:
    key: does.KeyShown = perform(does.GET, work, from_texts(does.TheKey, params))
    named = f"{key.prefix}… ({key.name})" if key.name else f"{key.prefix}…"
    lines = (
        f"Requests of {key.user_name} with this key are refused within two seconds; answers under way are finished.",
        "This is for good: it cannot be undone. To give its owner a new text for the same key, rotate it instead.",
    )
    return Said(f"Revoke {named}?", lines, "Revoke for good", f"{HOME}/{key.id}")
