"""The pages of users: the list, one user, adding and changing one (SPEC section 11).

Knows pages; what happens is in `user_operations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from admin_app import user_operations as does
from admin_app import whole_operations
from admin_app.deeds import Deed, DeedPage, Said
from admin_app.edits import Edit, as_texts, edit_of
from admin_app.fields import from_texts
from admin_app.front import Front, Texts, problems_of, query_of, see_other
from admin_app.operation import Operation, Work, perform
from core.access import Refused
from core.numerals import many
from core.types import Strategy, UserStatus
from core.user_list import UserSort

HOME = "/admin/users"
FILTERS = ("search", "status", "strategy", "sort", "cursor")
_WORDS = {"strategies": tuple(Strategy), "statuses": tuple(UserStatus), "sorts": tuple(UserSort)}


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    one = f"{HOME}/{{user_id}}"
    return {
        HOME: UsersPage(front),
        f"{HOME}/new": UserForm(front, does.ADD),
        one: UserPage(front),
        f"{one}/edit": UserForm(front, does.CHANGE),
        f"{one}/activate": DeedPage(front, Deed(does.ACTIVATE, "users", _before_activating, one, "user-activated")),
        f"{one}/deactivate": DeedPage(front, Deed(does.DEACTIVATE, "users", _before_deactivating, one, "user-deactivated")),
        f"{one}/delete": DeedPage(front, Deed(does.DELETE, "users", _before_deleting, HOME, "user-deleted")),
    }


class UsersPage:
    """`/admin/users`: search, filter, sort, page."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        listed, query, _ = self._front.find(work, does.LIST, query_of(req, *FILTERS))
        self._front.show(req, resp, "users/list.html", nav="users", listed=listed, query=query, **_WORDS)


class UserPage:
    """`/admin/users/{user_id}`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, user_id: str) -> None:
        work = self._front.enter(req, resp)
        whole = self._front.ask(work, whole_operations.USER, {"user_id": user_id})
        self._front.show(req, resp, "users/one.html", nav="users", whole=whole, user=whole.user)


class UserForm:
    """Adding a user, and changing one: the same form."""

    def __init__(self, front: Front, operation: Operation) -> None:
        self._front = front
        self.performs = operation

    def on_get(self, req: falcon.Request, resp: falcon.Response, **params: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        self._show(req, resp, self._user(work, params), Edit({}), {})

    def on_post(self, req: falcon.Request, resp: falcon.Response, **params: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        edit = edit_of(self._front.form(req))
        operation = does.editing(edit) if params else self.performs
        try:
            user = self._front.ask(work, operation, {**edit.fields, **params})
        except Refused as refused:
            self._show(req, resp, self._user(work, params), edit, problems_of(refused, resp))
        else:
            raise see_other(f"{HOME}/{user.id}", "user-changed" if params else "user-added")

    def _user(self, work: Work, params: Mapping[str, str]) -> does.UserShown | None:
        return self._front.ask(work, does.GET, params) if params else None

    def _show(self, req: Any, resp: Any, user: does.UserShown | None, edit: Edit, problems: Mapping[str, str]) -> None:
        there_is = as_texts({name: getattr(user, name) for name in does.FORM}) if user is not None else {}
        values = Texts({"strategy": Strategy.PLAN_FIRST, **there_is, **edit.fields})
        was = edit.shown_again(there_is, is_seen=resp.status == falcon.HTTP_409) if user is not None else {}
        given = {"user": user, "values": values, "was": was, "problems": problems}
        self._front.show(req, resp, "users/form.html", nav="users", **given, **_WORDS)


def _before_activating(work: Work, params: dict[str, str]) -> Said:
    user = _user(work, params)
    lines = ("Their keys that are neither revoked nor expired work again within two seconds.",)
    return Said(f"Activate {user.name}?", lines, "Activate", f"{HOME}/{user.id}", is_destructive=False)


def _before_deactivating(work: Work, params: dict[str, str]) -> Said:
    user = _user(work, params)
    lines = (
        f"All their access keys ({user.active_keys} active) are refused within two seconds; answers under way are finished.",
        "Nothing is deleted: they can be activated again.",
    )
    return Said(f"Deactivate {user.name}?", lines, "Deactivate", f"{HOME}/{user.id}")


def _before_deleting(work: Work, params: dict[str, str]) -> Said:
    user = _user(work, params)
    lines = (
        f"Revokes {many(user.active_keys, 'access key')}, destroys {many(user.bedrock_keys, 'Bedrock key')}. This is for good.",
        "What they used stays in the ledger. Their name cannot be given to anybody else.",
    )
    return Said(f"Delete {user.name}?", lines, "Delete for good", f"{HOME}/{user.id}")


def _user(work: Work, params: dict[str, str]) -> does.UserShown:
    shown: does.UserShown = perform(does.GET, work, from_texts(does.TheUser, params))
    return shown
