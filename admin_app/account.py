"""`/admin/account` and below: an admin's own sessions, password, second factor and API tokens (SPEC section 11).

Knows HTTP; what happens is in `signed_in_operations`, the rules are in core. Invariants: nothing here touches another admin;
what weakens the account wants the password given within ten minutes; an API token and recovery codes are in the answer to the
POST that made them, and in no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import falcon

from admin_app import signed_in_operations as does
from admin_app.admission import TooMany, Wrong
from admin_app.doorkeeper import HOME, Note
from admin_app.enrolment import EnrolmentPage, TurnOff
from admin_app.front import Front
from admin_app.operation import Doing, Work
from admin_app.password_queue import Busy
from admin_app.sign_in import told
from core import admin_sessions, admins, api_tokens
from core.access import Refused
from core.actor import Role

ACCOUNT = f"{HOME}/account"
_TOKEN_DAYS = (7, 30, 90, 365)


def account_routes(front: Front, note: Note) -> dict[str, Any]:
    """Every route of an admin's own account."""
    desk = AccountDesk(front)
    return {
        ACCOUNT: AccountPage(desk),
        f"{ACCOUNT}/password": PasswordForm(desk),
        f"{ACCOUNT}/sessions": SessionsForm(desk),
        f"{ACCOUNT}/tokens": TokenForm(desk),
        f"{ACCOUNT}/tokens/revoke": RevokeForm(desk),
        f"{ACCOUNT}/totp": EnrolmentPage(front.doorkeeper, front.pages, note),
        f"{ACCOUNT}/totp/off": TurnOff(front.doorkeeper, note),
    }


class AccountDesk:
    """What the forms of the page share."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.doorkeeper = front.doorkeeper
        self.credentials = front.doorkeeper.credentials

    def posted(self, req: falcon.Request, resp: falcon.Response, *, confirmed: bool) -> tuple[Work, Mapping[str, str]]:
        """Who sent a form of theirs, ready to perform operations, and its fields."""
        work = self.front.enter(req, resp)
        if confirmed:
            self.doorkeeper.require_confirmed(req, resp, Role.VIEWER, ACCOUNT)
        return work, self.front.form(req)

    def show(self, req: falcon.Request, resp: falcon.Response, work: Work, problem: str = "", issued: str = "") -> None:
        actor = work.actor
        admin, sessions, tokens = work.read(
            lambda doing: (
                admins.find_admin(doing.connection, actor.admin_id),
                admin_sessions.list_sessions(doing.connection, actor.admin_id, doing.now),
                api_tokens.list_tokens(doing.connection, actor.admin_id),
            )
        )
        roles = [role for role in Role if actor.role.includes(role)]
        lists = {"sessions": sessions, "tokens": tokens, "roles": roles, "days": _TOKEN_DAYS}
        told_once = {"problem": problem, "issued": issued, "totp_demanded": self.credentials.requires_totp}
        self.front.show(req, resp, "account/account.html", nav="account", admin=admin, **lists, **told_once)


class AccountPage:
    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._desk.show(req, resp, self._desk.front.enter(req, resp))


class PasswordForm:
    """Wants the password before, too (ASVS 6.2.3), slowed down as a sign-in is."""

    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        desk = self._desk
        work, fields = desk.posted(req, resp, confirmed=True)
        actor, new = work.actor, fields.get("new_password", "")

        def change(doing: Doing) -> None:
            admins.set_password(doing.connection, actor.admin_id, hashed, doing.now, actor.credential_id)
            doing.note("password.change", actor.admin_id, {}, {})

        try:
            attempt = desk.doorkeeper.attempt(req, actor.username, fields.get("password", ""), None)
            admission = desk.doorkeeper.admission
            admission.admit(attempt, lambda _, admin: admin)
            hashed = admission.queue.hash_new(new, actor.username)
            work.change(change)
        except (TooMany, Busy, Wrong) as error:
            resp.status, problem = told(error, resp, "The password you have now is another one.")
            desk.show(req, resp, work, problem)
        except Refused as error:
            resp.status = falcon.HTTP_422
            desk.show(req, resp, work, _sentence(error))
        else:
            raise falcon.HTTPSeeOther(ACCOUNT)


class SessionsForm:
    """Ends one session (`session`), or all but this one (`others`)."""

    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        work, fields = self._desk.posted(req, resp, confirmed=False)
        if fields.get("others"):
            self._desk.front.ask(work, does.END_OTHERS, {})
        else:
            with suppress(Refused):  # it has ended meanwhile, which was the wish
                self._desk.front.ask(work, does.END_MINE, {"session_id": fields.get("session", "")})
        raise falcon.HTTPSeeOther(ACCOUNT)


class TokenForm:
    """Makes an API token and shows it once."""

    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        desk = self._desk
        work, fields = desk.posted(req, resp, confirmed=True)
        role, days = fields.get("role", ""), fields.get("days", "")
        if role not in list(Role) or days not in map(str, _TOKEN_DAYS):
            raise falcon.HTTPBadRequest(title="Not done", description="This form was not made here.")
        wanted = {"name": fields.get("name", ""), "role": role, "expires_at": (work.now + timedelta(days=int(days))).isoformat()}
        try:
            made = desk.front.ask(work, does.ISSUE, wanted)
        except Refused as error:
            resp.status = falcon.HTTP_422
            desk.show(req, resp, work, _sentence(error))
        else:
            desk.show(req, resp, work, issued=made.token)


class RevokeForm:
    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        work, fields = self._desk.posted(req, resp, confirmed=False)
        with suppress(Refused):  # it is revoked already
            self._desk.front.ask(work, does.REVOKE_MINE, {"token_id": fields.get("id", "")})
        raise falcon.HTTPSeeOther(ACCOUNT)


def _sentence(error: Refused) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
