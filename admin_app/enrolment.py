"""`/admin/account/totp`: a second factor is set up, with a QR code and a code of the app before it is on; and turned off.

Knows HTTP. The secret that is being set up travels in the form, sealed for its admin, and is stored only when a code proved
that the app has it. Invariants: setting up and turning off want the password given within ten minutes; the recovery codes
are in one answer alone; where a second factor is demanded it cannot be turned off.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import falcon

from admin_app.doorkeeper import ENROLMENT, HOME, Doorkeeper, Note
from admin_app.forms import read_form
from admin_app.qr import qr_code
from admin_app.sign_in import noted
from core import admin_sessions, second_factor
from core.access import Invalid
from core.actor import Actor, Role
from core.admin_sessions import SignedIn
from core.crypto import CannotOpen, open_admin_vault
from core.pages import Pages

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

_ACCOUNT = f"{HOME}/account"
_PENDING = "pending|"
_WRONG = "This is not the app's code at this moment. Wait for the next one, and look whether your phone's clock is right."


class EnrolmentPage:
    """Open to admins who have to set it up before anything else."""

    def __init__(self, doorkeeper: Doorkeeper, pages: Pages, note: Note) -> None:
        self._doorkeeper = doorkeeper
        self._credentials = doorkeeper.credentials
        self._pages = pages
        self._note = note

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = self._entered(req)
        self._show(req, resp, found.actor, second_factor.new_secret())

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        actor = self._entered(req).actor
        fields = read_form(req)
        self._doorkeeper.check_form(req, fields)
        secret = self._opened(fields.get("secret", ""), actor)
        now, server_secret = self._credentials.now(), self._credentials.server_secret
        code = fields.get("totp", "")

        def turn_on(connection: Connection) -> tuple[str, ...]:
            codes = second_factor.turn_on(connection, actor.admin_id, secret, code, server_secret, now)
            admin_sessions.end_all(connection, actor.admin_id, now, actor.credential_id)
            return codes

        try:
            codes = self._credentials.database.run(turn_on)
        except Invalid:
            resp.status = falcon.HTTP_422
            self._show(req, resp, actor, secret, _WRONG)
            return
        log.info("an admin turned a second factor on", extra=noted(req, admin_id=actor.admin_id))
        self._note("totp.on", actor, {"target": actor.admin_id})
        resp.content_type = falcon.MEDIA_HTML
        resp.text = self._pages.render("account/recovery_codes.html", codes=codes)

    def _entered(self, req: falcon.Request) -> SignedIn:
        """Who may set it up now; raises falcon.HTTPSeeOther for all others."""
        found = self._doorkeeper.signed_in(req)
        if found is None:
            raise falcon.HTTPSeeOther(f"{HOME}/login")
        if found.has_totp:
            raise falcon.HTTPSeeOther(_ACCOUNT)
        if not self._doorkeeper.is_confirmed(found.actor):
            raise falcon.HTTPSeeOther(f"{HOME}/confirm?next={ENROLMENT}")
        return found

    def _show(self, req: falcon.Request, resp: falcon.Response, actor: Actor, secret: str, problem: str = "") -> None:
        vault = open_admin_vault(self._credentials.server_secret)
        sealed = vault.seal(secret, _PENDING + actor.admin_id).hex()
        code = qr_code(second_factor.setup_address(secret, actor.username))
        groups = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
        values: dict[str, Any] = {"token": self._doorkeeper.token(req), "problem": problem}
        values |= {"sealed": sealed, "secret": groups, "qr": code, "is_demanded": self._credentials.requires_totp}
        resp.content_type = falcon.MEDIA_HTML
        resp.text = self._pages.render("account/enrolment.html", **values)

    def _opened(self, sealed: str, actor: Actor) -> str:
        vault = open_admin_vault(self._credentials.server_secret)
        try:
            return vault.open(bytes.fromhex(sealed), _PENDING + actor.admin_id)
        except (ValueError, CannotOpen):
            raise falcon.HTTPBadRequest(title="Not done", description="This form was not made here.") from None


class TurnOff:
    """`POST /admin/account/totp/off`."""

    def __init__(self, doorkeeper: Doorkeeper, note: Note) -> None:
        self._doorkeeper = doorkeeper
        self._note = note

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        actor = self._doorkeeper.require_confirmed(req, resp, Role.VIEWER, _ACCOUNT)
        self._doorkeeper.check_form(req, read_form(req))
        credentials = self._doorkeeper.credentials
        if credentials.requires_totp:
            raise falcon.HTTPForbidden(title="Not turned off", description="PROXY_ADMIN_REQUIRE_TOTP demands a second factor.")
        now = credentials.now()

        def turn_off(connection: Connection) -> None:
            second_factor.turn_off(connection, actor.admin_id, now)
            admin_sessions.end_all(connection, actor.admin_id, now, actor.credential_id)

        credentials.database.run(turn_off)
        log.info("an admin turned their second factor off", extra=noted(req, admin_id=actor.admin_id))
        self._note("totp.off", actor, {"target": actor.admin_id})
        raise falcon.HTTPSeeOther(_ACCOUNT)
