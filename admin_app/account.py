"""`/admin/account` and below: an admin's own sessions, password, second factor and API tokens (SPEC section 11).

Knows HTTP; the rules are in core. Invariants: nothing here touches another admin; what weakens the account wants the password
given within ten minutes; an API token and recovery codes are in the answer to the POST that made them, and in no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import falcon

from admin_app.admission import TooMany, Wrong
from admin_app.doorkeeper import HOME, Note
from admin_app.enrolment import EnrolmentPage, TurnOff
from admin_app.forms import read_form
from admin_app.front import Front
from admin_app.password_queue import Busy
from admin_app.sign_in import told
from core import admin_sessions, admins, api_tokens
from core.access import Refused
from core.actor import Actor, Role
from core.api_tokens import NewToken

ACCOUNT = f"{HOME}/account"
_TOKEN_DAYS = (7, 30, 90, 365)


def account_routes(front: Front, note: Note) -> dict[str, Any]:
    """Every route of an admin's own account."""
    desk = AccountDesk(front, note)
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

    def __init__(self, front: Front, note: Note) -> None:
        self.doorkeeper = front.doorkeeper
        self.credentials = front.doorkeeper.credentials
        self.database = front.doorkeeper.credentials.database
        self.note = note
        self._front = front

    def posted(self, req: falcon.Request, resp: falcon.Response, *, confirmed: bool) -> tuple[Actor, Mapping[str, str]]:
        """Who sent a form of theirs, and its fields."""
        if confirmed:
            actor = self.doorkeeper.require_confirmed(req, resp, Role.VIEWER, ACCOUNT)
        else:
            actor = self.doorkeeper.require(req, resp, Role.VIEWER)
        fields = read_form(req)
        self.doorkeeper.check_form(req, fields)
        return actor, fields

    def show(self, req: falcon.Request, resp: falcon.Response, actor: Actor, problem: str = "", issued: str = "") -> None:
        now = self.credentials.now()
        admin, sessions, tokens = self.database.read(
            lambda c: (
                admins.find_admin(c, actor.admin_id),
                admin_sessions.list_sessions(c, actor.admin_id, now),
                api_tokens.list_tokens(c, actor.admin_id),
            )
        )
        roles = [role for role in Role if actor.role.includes(role)]
        lists = {"sessions": sessions, "tokens": tokens, "roles": roles, "days": _TOKEN_DAYS}
        told_once = {"problem": problem, "issued": issued, "totp_demanded": self.credentials.requires_totp}
        req.context.actor = actor
        self._front.show(req, resp, "account/account.html", nav="account", admin=admin, **lists, **told_once)


class AccountPage:
    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._desk.show(req, resp, self._desk.doorkeeper.require(req, resp, Role.VIEWER))


class PasswordForm:
    """Wants the password before, too (ASVS 6.2.3), slowed down as a sign-in is."""

    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        desk = self._desk
        actor, fields = desk.posted(req, resp, confirmed=True)
        new = fields.get("new_password", "")
        try:
            attempt = desk.doorkeeper.attempt(req, actor.username, fields.get("password", ""), None)
            admission, now = desk.doorkeeper.admission, desk.credentials.now()
            admission.admit(attempt, lambda _, admin: admin)
            hashed = admission.queue.hash_new(new, actor.username)
            desk.database.run(lambda c: admins.set_password(c, actor.admin_id, hashed, now, actor.credential_id))
        except (TooMany, Busy, Wrong) as error:
            resp.status, problem = told(error, resp, "The password you have now is another one.")
            desk.show(req, resp, actor, problem)
            return
        except Refused as error:
            resp.status = falcon.HTTP_422
            desk.show(req, resp, actor, _sentence(error))
            return
        desk.note("password.change", actor, {"target": actor.admin_id})
        raise falcon.HTTPSeeOther(ACCOUNT)


class SessionsForm:
    """Ends one session (`session`), or all but this one (`others`)."""

    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        desk = self._desk
        actor, fields = desk.posted(req, resp, confirmed=False)
        now, session_id = desk.credentials.now(), fields.get("session", "")
        if fields.get("others"):
            ended = desk.database.run(lambda c: admin_sessions.end_all(c, actor.admin_id, now, actor.credential_id))
            desk.note("session.end_others", actor, {"target": actor.admin_id, "ended": ended})
            raise falcon.HTTPSeeOther(ACCOUNT)
        try:
            desk.database.run(lambda c: admin_sessions.end(c, actor.admin_id, session_id, now))
        except Refused:
            raise falcon.HTTPSeeOther(ACCOUNT) from None  # it has ended meanwhile, which was the wish
        desk.note("session.end", actor, {"target": session_id})
        raise falcon.HTTPSeeOther(ACCOUNT)


class TokenForm:
    """Makes an API token and shows it once."""

    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        desk = self._desk
        actor, fields = desk.posted(req, resp, confirmed=True)
        now, role, days = desk.credentials.now(), fields.get("role", ""), fields.get("days", "")
        if role not in list(Role) or days not in map(str, _TOKEN_DAYS):
            raise falcon.HTTPBadRequest(title="Not done", description="This form was not made here.")
        new = NewToken(fields.get("name", "").strip(), Role(role), now + timedelta(days=int(days)))
        try:
            secret = desk.credentials.server_secret
            issued = desk.database.run(lambda c: api_tokens.issue_token(c, actor.admin_id, new, secret, now))
        except Refused as error:
            resp.status = falcon.HTTP_422
            desk.show(req, resp, actor, _sentence(error))
            return
        desk.note(
            "api_token.create", actor, {"target": issued.id, "name": new.name, "role": new.role, "expires_at": new.expires_at}
        )
        desk.show(req, resp, actor, issued=issued.token)


class RevokeForm:
    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        desk = self._desk
        actor, fields = desk.posted(req, resp, confirmed=False)
        token_id, now = fields.get("id", ""), desk.credentials.now()
        try:
            before = desk.database.run(lambda c: api_tokens.revoke_token(c, actor.admin_id, token_id, now))
        except Refused:
            raise falcon.HTTPSeeOther(ACCOUNT) from None
        desk.note("api_token.revoke", actor, {"target": token_id, "name": before.name})
        raise falcon.HTTPSeeOther(ACCOUNT)


def _sentence(error: Refused) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
