"""The pages of administrators, for owners: the list, one admin with sessions and API tokens, and every change (SPEC section 11).

Knows pages; what happens is in `admin_operations` and `signed_in_operations`. Invariant: a password that was made is in the
answer to the POST that made it, and in no other; a form that wants the password again is not shown before it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from admin_app import admin_operations as does
from admin_app import signed_in_operations as of_them
from admin_app.deeds import Deed, DeedPage, Said
from admin_app.fields import from_texts
from admin_app.front import Front, Texts, problems_of, query_of, see_other
from admin_app.operation import Operation, Work, perform
from core.access import NotFound, Refused
from core.actor import Role

HOME = "/admin/admins"
_ONE = f"{HOME}/{{admin_id}}"


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    deeds = (
        ("disable", Deed(does.DISABLE, "admins", _before_disabling, _ONE, "admin-disabled")),
        ("enable", Deed(does.ENABLE, "admins", _before_enabling, _ONE, "admin-enabled")),
        ("second-factor", Deed(does.RESET_TOTP, "admins", _before_resetting, _ONE, "admin-factor-reset")),
        ("end-sessions", Deed(of_them.END_ALL, "admins", _before_ending, _ONE, "admin-sessions-ended")),
        ("delete", Deed(does.DELETE, "admins", _before_deleting, HOME, "admin-deleted")),
    )
    return {
        HOME: AdminsPage(front),
        f"{HOME}/new": AdminForm(front, does.ADD, "admin-added"),
        _ONE: AdminPage(front),
        f"{_ONE}/role": RoleForm(front),
        f"{_ONE}/password": AdminForm(front, does.RESET_PASSWORD, "admin-password-reset"),
        f"{_ONE}/sessions": Ending(front, of_them.END, "admin-sessions-ended"),
        f"{_ONE}/tokens": Ending(front, of_them.REVOKE, "admin-token-revoked"),
        **{f"{_ONE}/{name}": DeedPage(front, deed) for name, deed in deeds},
    }


class AdminsPage:
    """`/admin/admins`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp, Role.OWNER)
        listed, query, _ = self._front.find(work, does.LIST, query_of(req, "cursor"))
        self._front.show(req, resp, "admins/list.html", nav="admins", listed=listed, query=query)


class AdminPage:
    """`/admin/admins/{admin_id}`: who they are, where they are signed in, their API tokens."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, admin_id: str) -> None:
        work = self._front.enter(req, resp, Role.OWNER)
        which = {"admin_id": admin_id}
        lists = {
            "admin": self._front.ask(work, does.GET, which),
            "sessions": self._front.ask(work, of_them.SESSIONS, which).data,
            "tokens": self._front.ask(work, of_them.TOKENS, which).data,
        }
        self._front.show(req, resp, "admins/one.html", nav="admins", **lists)


class AdminForm:
    """Adding an admin, and giving one another password: one that is typed, or one that is made and shown once."""

    def __init__(self, front: Front, operation: Operation, notice: str) -> None:
        self._front = front
        self.performs = operation
        self._notice = notice

    def on_get(self, req: falcon.Request, resp: falcon.Response, **params: str) -> None:
        work = self._front.enter_for(self.performs, req, resp)
        self._show(req, resp, work, params, {}, {})

    def on_post(self, req: falcon.Request, resp: falcon.Response, **params: str) -> None:
        work = self._front.enter_for(self.performs, req, resp)
        fields = self._front.form(req)
        try:
            made = self._front.ask(work, self.performs, {**fields, **params})
        except NotFound:
            raise
        except Refused as refused:
            self._show(req, resp, work, params, fields, problems_of(refused, resp))
        else:
            if made.password is None:
                raise see_other(f"{HOME}/{made.id}", self._notice)
            self._front.show(req, resp, "admins/password.html", nav="admins", made=made, is_new=not params)

    def _show(self, req: Any, resp: Any, work: Work, params: Mapping[str, str], typed: Mapping[str, str], problems: Any) -> None:
        admin = self._front.ask(work, does.GET, params) if params else None
        values = Texts({"role": Role.VIEWER, **{name: text for name, text in typed.items() if name != "password"}})
        shown = {"admin": admin, "values": values, "problems": problems, "roles": tuple(Role)}
        self._front.show(req, resp, "admins/form.html", nav="admins", **shown)


class RoleForm:
    performs = does.CHANGE

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, admin_id: str) -> None:
        self._show(req, resp, admin_id, {})

    def on_post(self, req: falcon.Request, resp: falcon.Response, admin_id: str) -> None:
        work = self._front.enter_for(self.performs, req, resp)
        fields = self._front.form(req)
        try:
            self._front.ask(work, does.CHANGE, {**fields, "admin_id": admin_id})
        except NotFound:
            raise
        except Refused as refused:
            resp.status = falcon.HTTP_409
            self._show(req, resp, admin_id, {"": str(refused)})
        else:
            raise see_other(f"{HOME}/{admin_id}", "admin-role-changed")

    def _show(self, req: falcon.Request, resp: falcon.Response, admin_id: str, problems: Mapping[str, str]) -> None:
        work = self._front.enter_for(self.performs, req, resp)
        admin = self._front.ask(work, does.GET, {"admin_id": admin_id})
        values = {"admin": admin, "problems": problems, "roles": tuple(Role)}
        self._front.show(req, resp, "admins/role.html", nav="admins", **values)


class Ending:
    """A button that ends one session, or revokes one API token, and nothing when it has ended already."""

    def __init__(self, front: Front, operation: Operation, notice: str) -> None:
        self._front = front
        self.performs = operation
        self._notice = notice

    def on_post(self, req: falcon.Request, resp: falcon.Response, admin_id: str) -> None:
        work = self._front.enter_for(self.performs, req, resp)
        fields = self._front.form(req)
        try:
            self._front.ask(work, self.performs, {**fields, "admin_id": admin_id})
        except NotFound:
            raise see_other(f"{HOME}/{admin_id}") from None  # which was the wish
        raise see_other(f"{HOME}/{admin_id}", self._notice)


def _before_disabling(work: Work, params: dict[str, str]) -> Said:
    lines = (
        "Nobody signs in as them. Their sessions and API tokens end at once, for good.",
        "Nothing is deleted: they can be enabled again, and then sign in with their password.",
    )
    return _said(work, params, "Disable", lines)


def _before_enabling(work: Work, params: dict[str, str]) -> Said:
    return _said(work, params, "Enable", ("They may sign in again with their password.",), is_destructive=False)


def _before_resetting(work: Work, params: dict[str, str]) -> Said:
    lines = (
        "For who lost their phone and their recovery codes. Make sure that it is really they who ask.",
        "They sign in with their password alone until they set up a new second factor. Their sessions end.",
    )
    return _said(work, params, "Reset the second factor of", lines, button="Reset")


def _before_ending(work: Work, params: dict[str, str]) -> Said:
    here = work.actor.admin_id == _admin(work, params).id
    what = "All your sessions but this one end at once." if here else "They are signed out everywhere at once."
    return _said(work, params, "End the sessions of", (what, "API tokens stay as they are."), button="End the sessions")


def _before_deleting(work: Work, params: dict[str, str]) -> Said:
    lines = ("Their sessions and API tokens end. This is for good.", "What they did stays in the audit log, under their name.")
    return _said(work, params, "Delete", lines, button="Delete for good")


def _said(
    work: Work, params: dict[str, str], verb: str, lines: tuple[str, ...], button: str = "", is_destructive: bool = True
) -> Said:
    admin = _admin(work, params)
    signs_out = admin.id == work.actor.admin_id and verb not in ("Enable", "End the sessions of")
    warning = ("This is you: you will be signed out.",) if signs_out else ()
    return Said(f"{verb} {admin.username}?", (*warning, *lines), button or verb, f"{HOME}/{admin.id}", is_destructive)


def _admin(work: Work, params: dict[str, str]) -> does.AdminShown:
    shown: does.AdminShown = perform(does.GET, work, from_texts(does.TheAdmin, params))
    return shown
