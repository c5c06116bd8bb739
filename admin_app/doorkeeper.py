"""The doorkeeper: who is asking, may they, and is a form theirs (SPEC section 11). And the sign-in form, for who is not known.

Knows HTTP; whether somebody is who they say is admission's, what a session is worth core's. Invariants: a cookie is asked about
once a request and never believed for the next one; nobody without the demanded second factor gets further than its set-up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import falcon

from admin_app.admission import MOST_NAME_CHARS, Admission, Attempt
from admin_app.session import FORM_S, Offer, Sessions
from core.actor import Actor, Role
from core.admin_sessions import SignedIn, is_confirmed
from core.credentials import Credentials
from core.db import DatabaseAway
from core.pages import Pages

# What happened ("sign_in"), who did it if that is known, and what may be shown of it: for the audit.
Note = Callable[[str, Actor | None, dict[str, Any]], None]

HOME = "/admin"
ENROLMENT = f"{HOME}/account/totp"
_NEXT = re.compile(r"/admin(/[\w.~-]+)*/?(\?[\w.~=&%:,+-]*)?")


class Doorkeeper:
    """Who is asking. One question to the database for each request, however often it is asked.

    Pages use `require`, `token` and `check_form`; the API uses `bearer`. All raise DatabaseAway where rows are needed.
    """

    def __init__(self, sessions: Sessions, credentials: Credentials, admission: Admission, pages: Pages) -> None:
        self.sessions = sessions
        self.credentials = credentials
        self.admission = admission
        self._pages = pages

    def actor(self, req: falcon.Request) -> Actor | None:
        """Who is signed in by a cookie, and may do something: not who has yet to set up a second factor that is demanded."""
        found = self.signed_in(req)
        return None if found is None or self.must_enrol(found) else found.actor

    def bearer(self, req: falcon.Request) -> Actor | None:
        """Who `Authorization: Bearer` stands for, a JWT or an API token. No form token is needed then."""
        scheme, _, token = (req.get_header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        self.admission.owner.ensure()
        return self.credentials.of_bearer(token.strip(), req.context.site)

    def require(self, req: falcon.Request, resp: falcon.Response, role: Role) -> Actor:
        """Who is signed in and has the role. Raises falcon.HTTPSeeOther to the sign-in or to the set-up of the second factor,
        falcon.HTTPForbidden where the role does not reach."""
        found = self.signed_in(req)
        if found is None:
            if self.session_token(req):
                resp.append_header("set-cookie", self.sessions.session_cookie.removal())
            raise led_to(req, f"{HOME}/login{_query(req)}")
        if self.must_enrol(found):
            raise led_to(req, ENROLMENT)
        if not found.actor.role.includes(role):
            raise falcon.HTTPForbidden(title="Not with this role", description=f"This takes an admin who is {role}.")
        return found.actor

    def require_confirmed(self, req: falcon.Request, resp: falcon.Response, role: Role, back: str) -> Actor:
        """As `require`, and the password was given within ten minutes; else falcon.HTTPSeeOther to give it again, and then
        `back`."""
        actor = self.require(req, resp, role)
        if not self.is_confirmed(actor):
            raise led_to(req, f"{HOME}/confirm?{urlencode({'next': back})}")
        return actor

    def is_confirmed(self, actor: Actor) -> bool:
        return is_confirmed(actor, self.credentials.now())

    def must_enrol(self, found: SignedIn) -> bool:
        return self.credentials.requires_totp and not found.has_totp

    def signed_in(self, req: falcon.Request) -> SignedIn | None:
        """Whose session the request's cookie is. A database that is away is asked once a request, too: it may take seconds."""
        if not hasattr(req.context, "signed_in"):
            try:
                req.context.signed_in = self._look_up(req)
            except DatabaseAway as error:
                req.context.signed_in = error
        found: SignedIn | DatabaseAway | None = req.context.signed_in
        if isinstance(found, DatabaseAway):
            raise found
        return found

    def standing_in(self, req: falcon.Request) -> Offer | None:
        """The owner who signed in while the database was away: worth something only as long as it is."""
        return self.sessions.standing_in(self._values(req))

    def session_token(self, req: falcon.Request) -> str:
        """The signed token of the request's cookie, whatever it is worth."""
        return next(self.sessions.tokens(self._values(req)), "")

    def token(self, req: falcon.Request) -> str:
        """What every form of a signed-in admin carries in `csrf_token`."""
        holder = self._holder(req)
        return self.sessions.form_token(holder) if holder else ""

    def check_form(self, req: falcon.Request, fields: Mapping[str, str]) -> None:
        """Raises falcon.HTTPForbidden for a form that was not made for this session, or that another site sent."""
        check_same_site(req)
        if not self.sessions.is_ours(self._holder(req), fields.get("csrf_token", "")):
            raise falcon.HTTPForbidden(title="Not done", description="The form was out of date. Go back and reload the page.")

    def attempt(self, req: falcon.Request, username: str, password: str, code: str | None) -> Attempt:
        device = self.sessions.device_of(req.get_cookie_values(self.sessions.device_cookie.name) or (), username)
        return Attempt(req.context.site, username, password, code, device)

    def offered(self, req: falcon.Request) -> Offer | None:
        return self.sessions.offered(req.get_cookie_values(self.sessions.form_cookie.name) or ())

    def show_form(self, req: falcon.Request, resp: falcon.Response, problem: str = "", fields: Mapping[str, str] = {}) -> None:
        """The sign-in form. One that is open in another tab stays good: its cookie is only made where there is none."""
        offer = self.offered(req)
        if offer is None:
            offer, value = self.sessions.offer()
            resp.append_header("set-cookie", self.sessions.form_cookie.setting(value, FORM_S))
        username = fields.get("username", "")[:MOST_NAME_CHARS]
        values: dict[str, Any] = {"token": self.sessions.form_token(offer.nonce), "problem": problem, "username": username}
        values |= {"next": where_next(fields.get("next") or req.get_param("next")), "is_set_up": self.admission.owner.is_set_up}
        resp.content_type = falcon.MEDIA_HTML
        resp.text = self._pages.render("sign_in.html", **values)

    def _look_up(self, req: falcon.Request) -> SignedIn | None:
        self.admission.owner.ensure()
        token = self.session_token(req)
        if not token and self.standing_in(req) is not None:
            self.credentials.database.read(lambda _: None)  # raises when it is away: only then is standing in worth something
        return self.credentials.of_cookie(token, req.context.site) if token else None

    def _holder(self, req: falcon.Request) -> str:
        try:
            found = self.signed_in(req)
        except DatabaseAway:
            standing_in = self.standing_in(req)
            return "" if standing_in is None else standing_in.nonce
        return "" if found is None else found.actor.credential_id

    def _values(self, req: falcon.Request) -> list[str]:
        return req.get_cookie_values(self.sessions.session_cookie.name) or []


def led_to(req: falcon.Request, path: str) -> falcon.HTTPStatus:
    """To another page as a whole. HTMX would follow a redirect and put that page where a part of this one belongs, so it is told
    to leave."""
    if req.get_header("hx-request"):
        return falcon.HTTPStatus(falcon.HTTP_204, headers={"hx-redirect": path})
    return falcon.HTTPSeeOther(path)


def check_same_site(req: falcon.Request) -> None:
    """Beside the form's token: every current browser says where a request comes from, and is believed; of an older one its
    `Origin` is looked at, which our own `referrer-policy` may have made `null`. Raises falcon.HTTPForbidden."""
    said, origin = req.get_header("sec-fetch-site"), req.get_header("origin")
    is_ours = origin in (None, "null") or urlsplit(origin or "").netloc == req.netloc
    if not (said in ("same-origin", "none") or (said is None and is_ours)):
        raise falcon.HTTPForbidden(title="Not from another site", description="This form can only be sent from its own page.")


def where_next(given: str | None) -> str:
    """The page of ours that somebody wanted to see; the overview for everything else."""
    return given if given and _NEXT.fullmatch(given) and "//" not in given and ".." not in given else HOME


def _query(req: falcon.Request) -> str:
    """Back to the page that was asked for; not to what a form was sent to."""
    page = urlsplit(req.get_header("hx-current-url") or "")
    here = f"{page.path}?{page.query}" if page.query else page.path  # of HTMX, which asks for a part of it
    asked = here or (req.relative_uri if req.method == "GET" else "")
    return f"?{urlencode({'next': asked})}" if asked else ""
