"""Signing in and out (SPEC section 11): the form, the check, the cookie.

Knows HTTP and the rules of sessions, no database: whoever runs the proxy gets in while the database is away. Invariants: no
password is checked before the form's token and the slow-down have had their say; every failure reads the same, whatever was
wrong; no user name and no password is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import ceil
from typing import Any
from urllib.parse import urlencode

import falcon

from admin_app.forms import read_form
from admin_app.owner import Busy, Owner
from admin_app.session import FORM_S, SESSION_S, Session, Sessions
from admin_app.throttle import Throttle
from core.actor import Actor, Role
from core.pages import Pages

log = logging.getLogger(__name__)

HOME = "/admin"
_MOST_NAME_CHARS, _MOST_PASSWORD_CHARS = 200, 1024


class Doorkeeper:
    """Who is asking, and the form for who is not signed in."""

    def __init__(self, sessions: Sessions, pages: Pages, is_set_up: bool) -> None:
        self.sessions = sessions
        self._pages = pages
        self._is_set_up = is_set_up

    def signed_in(self, req: falcon.Request) -> Session | None:
        return self.sessions.signed_in(req.get_cookie_values(self.sessions.session_cookie.name) or ())

    def require(self, req: falcon.Request, resp: falcon.Response, role: Role) -> Actor:
        """Who is signed in. Raises falcon.HTTPSeeOther to the sign-in, falcon.HTTPForbidden where the role does not reach."""
        session = self.signed_in(req)
        if session is None:
            raise falcon.HTTPSeeOther(f"{HOME}/login?{urlencode({'next': req.relative_uri})}")
        return Actor("", session.username, Role.OWNER, "session", session.nonce, req.context.site)

    def token(self, req: falcon.Request) -> str:
        """What every form of a signed-in admin carries."""
        session = self.signed_in(req)
        return "" if session is None else self.sessions.form_token(session)

    def check_form(self, req: falcon.Request, fields: Mapping[str, str]) -> None:
        """Raises falcon.HTTPForbidden for a form that was not made for this session."""
        check_same_site(req)
        if not self.sessions.is_ours(self.signed_in(req), fields.get("csrf_token", "")):
            raise falcon.HTTPForbidden(title="Not done", description="The form was out of date. Go back and reload the page.")

    def offered(self, req: falcon.Request) -> Session | None:
        return self.sessions.offered(req.get_cookie_values(self.sessions.form_cookie.name) or ())

    def show_form(self, req: falcon.Request, resp: falcon.Response, problem: str = "", username: str = "") -> None:
        """The form. One that is open in another tab stays good: its cookie is only made where there is none."""
        session = self.offered(req)
        if session is None:
            session, value = self.sessions.offer()
            resp.append_header("set-cookie", self.sessions.form_cookie.setting(value, FORM_S))
        token = self.sessions.form_token(session)
        values: dict[str, Any] = {"token": token, "problem": problem, "username": username, "is_set_up": self._is_set_up}
        resp.content_type = falcon.MEDIA_HTML
        resp.text = self._pages.render("sign_in.html", **values)


class SignIn:
    """`/admin/login`."""

    def __init__(self, doorkeeper: Doorkeeper, owner: Owner, throttle: Throttle) -> None:
        self._doorkeeper = doorkeeper
        self._owner = owner
        self._throttle = throttle

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if self._doorkeeper.signed_in(req) is not None:
            raise falcon.HTTPSeeOther(HOME)
        self._doorkeeper.show_form(req, resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        check_same_site(req)
        fields = read_form(req)
        username = fields.get("username", "")[:_MOST_NAME_CHARS]
        if not self._doorkeeper.sessions.is_ours(self._doorkeeper.offered(req), fields.get("csrf_token", "")):
            problem = "This form was out of date, or cookies are blocked. Please sign in again."
            self._refuse(req, resp, falcon.HTTP_403, problem, username)
            return
        wait_s = ceil(self._throttle.attempt(req.context.site, username))
        if wait_s > 0:
            resp.set_header("retry-after", str(wait_s))
            problem = f"Too many attempts. Please wait {wait_s} s and try again."
            self._refuse(req, resp, falcon.HTTP_429, problem, username)
            return
        self._check(req, resp, username, fields.get("password", ""))

    def _check(self, req: falcon.Request, resp: falcon.Response, username: str, password: str) -> None:
        try:
            is_right = len(password) <= _MOST_PASSWORD_CHARS and self._owner.check(username, password)
        except Busy:
            resp.set_header("retry-after", "5")
            self._refuse(req, resp, falcon.HTTP_503, "Too many people sign in at this moment. Please try again.", username)
            return
        if not is_right:
            self._refuse(req, resp, falcon.HTTP_401, "User name or password is wrong.", username)
            return
        self._throttle.succeeded(req.context.site, username)
        log.info("an admin signed in", extra=_noted(req))
        sessions = self._doorkeeper.sessions
        resp.append_header("set-cookie", sessions.session_cookie.setting(sessions.begin(username), SESSION_S))
        resp.append_header("set-cookie", sessions.form_cookie.removal())
        raise falcon.HTTPSeeOther(HOME)

    def _refuse(self, req: falcon.Request, resp: falcon.Response, status: str, problem: str, username: str) -> None:
        log.warning("a sign-in was refused", extra=_noted(req, status=status[:3]))
        resp.status = status
        self._doorkeeper.show_form(req, resp, problem, username)


class SignOut:
    """`POST /admin/logout`."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        check_same_site(req)
        fields = read_form(req)
        session = self._doorkeeper.signed_in(req)
        sessions = self._doorkeeper.sessions
        if session is not None and not sessions.is_ours(session, fields.get("csrf_token", "")):
            raise falcon.HTTPForbidden(title="Not signed out", description="The form was out of date. Go back and reload.")
        resp.append_header("set-cookie", sessions.session_cookie.removal())
        log.info("an admin signed out", extra=_noted(req))
        raise falcon.HTTPSeeOther(HOME)


def check_same_site(req: falcon.Request) -> None:
    """Beside the form's token: every current browser says where a request comes from. `Origin` is no help: our own
    `referrer-policy` makes it `null`. Raises falcon.HTTPForbidden."""
    if req.get_header("sec-fetch-site") not in (None, "same-origin", "none"):
        raise falcon.HTTPForbidden(title="Not from another site", description="This form can only be sent from its own page.")


def _noted(req: falcon.Request, **more: str) -> dict[str, Any]:
    return {"request_id": req.context.request_id, "context": {"address": req.context.site, **more}}
