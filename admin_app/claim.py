"""`/claim/{token}`: a developer gets their own access key with a link, once (SPEC section 8).

Knows HTTP; the rules of links are in core.claims. Outside the admin's allowlist and sign-in, for developers come from anywhere.
Invariants: looking changes nothing (mail scanners look); the key is in the answer to the press of a button that ended the link
(a double click is one), and in no other; every reason why a link is not good gets the same answer; no token is logged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import falcon

from admin_app.claim_operations import CLAIMS
from admin_app.doorkeeper import check_same_site
from admin_app.forms import read_form
from core.access import Limits, Refused
from core.access_keys import IssuedKey
from core.claims import NotClaimable, check_claim, use_claim
from core.crypto import new_claim_token
from core.db import Database, DatabaseAway
from core.pages import Pages

log = logging.getLogger(__name__)

ROUTE = f"{CLAIMS}/{{token}}"


@dataclass(frozen=True, slots=True)
class Issuing:
    """What it takes to issue a key."""

    server_secret: str
    limits: Limits
    base_url: str
    now: Callable[[], datetime]


class ClaimPage:
    """GET shows a button, POST gives the key. Works without JavaScript, and needs no cookie: the link itself is the secret
    that a forged form would have to know."""

    def __init__(self, database: Database, pages: Pages, issuing: Issuing) -> None:
        self._database = database
        self._pages = pages
        self._issuing = issuing

    def on_get(self, _: falcon.Request, resp: falcon.Response, token: str) -> None:
        issuing = self._issuing
        try:
            self._database.read(lambda c: check_claim(c, token, issuing.server_secret, issuing.now()))
        except NotClaimable:
            self._gone(resp)
        except DatabaseAway:
            self._away(resp)
        else:
            self._show(resp, "claim/offer.html", press=new_claim_token())

    def on_post(self, req: falcon.Request, resp: falcon.Response, token: str) -> None:
        check_same_site(req)
        issuing = self._issuing
        press = read_form(req).get("press", "") if req.content_length else ""  # from a command line it may come without
        try:
            issued = self._database.run(
                lambda c: use_claim(c, token, issuing.server_secret, issuing.limits, issuing.now(), press)
            )
        except NotClaimable:
            self._gone(resp)
        except Refused:
            resp.status = falcon.HTTP_409
            self._show(resp, "claim/no_room.html")
        except DatabaseAway:
            self._away(resp)
        else:
            log.info("a link was used", extra=_noted(req, issued))
            base_url = f"{issuing.base_url}/ak/{issued.access_key}"
            settings = json.dumps({"env": {"ANTHROPIC_BASE_URL": base_url}}, indent=2)
            self._show(resp, "claim/issued.html", base_url=base_url, settings=settings)

    def _gone(self, resp: falcon.Response) -> None:
        resp.status = falcon.HTTP_404
        self._show(resp, "claim/gone.html")

    def _away(self, resp: falcon.Response) -> None:
        resp.status = falcon.HTTP_503
        resp.set_header("retry-after", "5")
        self._show(resp, "claim/away.html")

    def _show(self, resp: falcon.Response, template: str, **values: str) -> None:
        resp.content_type = falcon.MEDIA_HTML
        resp.text = self._pages.render(template, home=CLAIMS, **values)


def _noted(req: falcon.Request, issued: IssuedKey) -> dict[str, object]:
    context = {"access_key_id": issued.id, "address": req.context.site}
    return {"request_id": req.context.request_id, "context": context}
