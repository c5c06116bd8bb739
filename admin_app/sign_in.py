"""Signing in and out (SPEC section 11).

Knows HTTP; whether somebody is who they say is admission's. Invariants: a sign-in always makes a new session and ends the one
that the browser had; every failure reads the same, whatever was wrong; no user name and no password is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import falcon

from admin_app.admission import MOST_NAME_CHARS, Attempt, TooMany, Wrong
from admin_app.doorkeeper import HOME, Doorkeeper, Note, check_same_site, where_next
from admin_app.forms import read_form
from admin_app.password_queue import Busy
from admin_app.session import DEVICE_S, SESSION_S, STAND_IN_S
from core import admins
from core.actor import Actor
from core.admin_sessions import Caller
from core.admins import Admin
from core.credentials import Issued
from core.db import DatabaseAway

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)


class SignIn:
    """`/admin/login`."""

    def __init__(self, doorkeeper: Doorkeeper, note: Note) -> None:
        self._doorkeeper = doorkeeper
        self._note = note

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        try:
            found = self._doorkeeper.signed_in(req)
        except DatabaseAway:
            found = None
        if found is not None:
            raise falcon.HTTPSeeOther(where_next(req.get_param("next")))
        self._doorkeeper.show_form(req, resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        check_same_site(req)
        fields = read_form(req)
        offer = self._doorkeeper.offered(req)
        if not self._doorkeeper.sessions.is_ours(offer.nonce if offer else "", fields.get("csrf_token", "")):
            problem = "This form was out of date, or cookies are blocked. Please sign in again."
            self._refuse(req, resp, falcon.HTTP_403, problem, fields)
            return
        try:
            self._enter(req, resp, fields)
        except (TooMany, Busy, Wrong) as error:
            status, problem = told(error, resp, "User name, password or code is wrong.")
            self._refuse(req, resp, status, problem, fields)

    def _enter(self, req: falcon.Request, resp: falcon.Response, fields: Mapping[str, str]) -> None:
        """Raises falcon.HTTPSeeOther when somebody is in; TooMany, Busy, Wrong."""
        keeper = self._doorkeeper
        attempt = keeper.attempt(
            req, fields.get("username", "")[:MOST_NAME_CHARS], fields.get("password", ""), fields.get("totp", "")
        )
        caller, before = Caller(req.context.site, req.user_agent or ""), keeper.session_token(req)

        def begin(connection: Connection, admin: Admin) -> tuple[Admin, Issued]:
            keeper.credentials.end_cookie(connection, before)
            admins.signed_in(connection, admin.id, keeper.credentials.now())
            return admin, keeper.credentials.begin_session(connection, admin.id, caller)

        try:
            admin, issued = keeper.admission.admit(attempt, begin)
        except DatabaseAway:
            self._stand_in(req, resp, attempt)
            return
        actor = Actor(
            admin.id, admin.username, admin.role, "session", issued.session.id, caller.address, issued.session.created_at
        )
        log.info("an admin signed in", extra=noted(req, admin_id=admin.id))
        self._note("sign_in", actor, {"session": issued.session.id})
        self._set_cookies(resp, keeper.sessions.sealed(issued.token), SESSION_S, attempt)
        raise falcon.HTTPSeeOther(where_next(fields.get("next")))

    def _stand_in(self, req: falcon.Request, resp: falcon.Response, attempt: Attempt) -> None:
        """While the database is away: the managed owner, for the overview alone. docs/decisions/0022-signing-in.md"""
        keeper = self._doorkeeper
        if keeper.credentials.requires_totp:
            resp.set_header("retry-after", "5")
            problem = "The database is away, and without it the second factor cannot be checked. Please try again in a moment."
            self._refuse(req, resp, falcon.HTTP_503, problem, {"username": attempt.username})
            return
        keeper.admission.admit_owner(attempt)
        log.warning("the owner signed in while the database is away", extra=noted(req))
        self._set_cookies(resp, keeper.sessions.stand_in(attempt.username), STAND_IN_S, attempt)
        raise falcon.HTTPSeeOther(HOME)

    def _set_cookies(self, resp: falcon.Response, session: str, lifetime_s: int, attempt: Attempt) -> None:
        sessions = self._doorkeeper.sessions
        resp.append_header("set-cookie", sessions.session_cookie.setting(session, lifetime_s))
        device = sessions.device(attempt.username, attempt.device)
        resp.append_header("set-cookie", sessions.device_cookie.setting(device, DEVICE_S))
        resp.append_header("set-cookie", sessions.form_cookie.removal())

    def _refuse(self, req: falcon.Request, resp: falcon.Response, status: str, problem: str, fields: Mapping[str, str]) -> None:
        log.warning("a sign-in was refused", extra=noted(req, status=status[:3]))
        self._note("sign_in.refused", None, {"status": status[:3], "address": req.context.site})
        resp.status = status
        self._doorkeeper.show_form(req, resp, problem, fields)


class SignOut:
    """`POST /admin/logout`."""

    def __init__(self, doorkeeper: Doorkeeper, note: Note) -> None:
        self._doorkeeper = doorkeeper
        self._note = note

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Also for who is not signed in any more; raises DatabaseAway when the session could not be ended."""
        check_same_site(req)
        fields, keeper = read_form(req), self._doorkeeper
        if keeper.token(req):
            keeper.check_form(req, fields)
        token = keeper.session_token(req)
        if token:
            found = keeper.signed_in(req)
            keeper.credentials.database.run(lambda c: keeper.credentials.end_cookie(c, token))
            if found is not None:
                self._note("sign_out", found.actor, {"session": found.actor.credential_id})
        resp.append_header("set-cookie", keeper.sessions.session_cookie.removal())
        log.info("an admin signed out", extra=noted(req))
        raise falcon.HTTPSeeOther(HOME)


def told(error: TooMany | Busy | Wrong, resp: falcon.Response, wrong: str) -> tuple[str, str]:
    """Status and words for who could not be let in."""
    if isinstance(error, TooMany):
        resp.set_header("retry-after", str(error.wait_s))
        return falcon.HTTP_429, f"Too many attempts. Please wait {error.wait_s} s and try again."
    if isinstance(error, Busy):
        resp.set_header("retry-after", "5")
        return falcon.HTTP_503, "Too many people sign in at this moment. Please try again."
    return falcon.HTTP_401, wrong


def noted(req: falcon.Request, **more: str) -> dict[str, Any]:
    """For a log line: never a name."""
    return {"request_id": req.context.request_id, "context": {"address": req.context.site, **more}}
