"""`/admin/confirm`: the password once more, before what has consequences (ASVS 5.0, 7.5.1). It then counts for ten minutes.

Knows HTTP. Invariant: the session goes on under a new token; guessing here is slowed down as at the sign-in.
"""

from __future__ import annotations

import logging

import falcon

from admin_app.admission import TooMany, Wrong
from admin_app.doorkeeper import HOME, Doorkeeper, Note, where_next
from admin_app.forms import read_form
from admin_app.password_queue import Busy
from admin_app.session import SESSION_S
from admin_app.sign_in import noted, told
from core.access import NotFound
from core.actor import Actor
from core.pages import Pages

log = logging.getLogger(__name__)


class Confirm:
    def __init__(self, doorkeeper: Doorkeeper, pages: Pages, note: Note) -> None:
        self._doorkeeper = doorkeeper
        self._pages = pages
        self._note = note

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        actor = self._entered(req)
        self._show(req, resp, actor, where_next(req.get_param("next")))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        actor = self._entered(req)
        fields, keeper = read_form(req), self._doorkeeper
        keeper.check_form(req, fields)
        attempt = keeper.attempt(req, actor.username, fields.get("password", ""), fields.get("totp", ""))
        try:
            token = keeper.admission.admit(attempt, lambda c, _: keeper.credentials.confirm(c, actor.credential_id))
        except (TooMany, Busy, Wrong) as error:
            resp.status, problem = told(error, resp, "The password or the code is wrong.")
            self._note("confirm.refused", actor, {"status": resp.status[:3]})
            self._show(req, resp, actor, where_next(fields.get("next")), problem)
            return
        except NotFound:
            raise falcon.HTTPSeeOther(f"{HOME}/login") from None
        log.info("an admin gave their password again", extra=noted(req, admin_id=actor.admin_id))
        self._note("confirm", actor, {})
        resp.append_header("set-cookie", keeper.sessions.session_cookie.setting(keeper.sessions.sealed(token), SESSION_S))
        raise falcon.HTTPSeeOther(where_next(fields.get("next")))

    def _entered(self, req: falcon.Request) -> Actor:
        """Also who has yet to set up a second factor; raises falcon.HTTPSeeOther for who is not signed in."""
        found = self._doorkeeper.signed_in(req)
        if found is None:
            raise falcon.HTTPSeeOther(f"{HOME}/login")
        return found.actor

    def _show(self, req: falcon.Request, resp: falcon.Response, actor: Actor, back: str, problem: str = "") -> None:
        found = self._doorkeeper.signed_in(req)
        values = {"token": self._doorkeeper.token(req), "next": back, "problem": problem, "username": actor.username}
        resp.content_type = falcon.MEDIA_HTML
        resp.text = self._pages.render("account/confirm.html", has_totp=found is not None and found.has_totp, **values)
