"""What stands before and after every page: the allowlist, and the headers that keep browsers honest (SPEC sections 11, 12).

Knows addresses and headers, not pages. Invariants: nothing of the admin, not even its style sheet, is answered to an address
outside `PROXY_ADMIN_ALLOWED_CIDRS`; only what is below `/claim/` is open to all; every answer, refusals and errors too, carries
the same headers; a connection whose request body was not read ends with the answer, so that what is left of it is never taken
for the next request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import falcon

from admin_app.claim_operations import CLAIMS
from core.addresses import client_address, is_within, site_of
from core.settings import Settings

log = logging.getLogger(__name__)

_FORWARDED_FOR = "x-forwarded-for"
# Nothing inline, nothing from elsewhere: scripts and styles are files of ours. Pages for developers run no script at all.
_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_POLICY_OF_CLAIMS = f"{_POLICY}; script-src 'none'"
_HEADERS = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("x-robots-tag", "noindex"),
)
_ONLY_TLS = ("strict-transport-security", "max-age=31536000; includeSubDomains")


class Gate:
    """Falcon middleware. Leaves `request_id` and `site` (who asks, for counting) in `req.context`; who reads the body says so
    there in `is_body_read`."""

    def __init__(self, settings: Settings, new_request_id: Callable[[], str]) -> None:
        self._allowed = settings.admin_allowed_cidrs
        self._trusted = settings.trusted_proxies
        self._headers = _HEADERS if settings.is_local else (*_HEADERS, _ONLY_TLS)
        self._new_request_id = new_request_id

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raises falcon.HTTPForbidden."""
        req.context.request_id = self._new_request_id()
        req.context.is_body_read = False
        address = client_address(req.env.get("REMOTE_ADDR", ""), _forwarded_for(req.env), self._trusted)
        req.context.site = site_of(address)
        is_open = req.path.startswith(f"{CLAIMS}/")
        if self._allowed and not is_open and not is_within(address, self._allowed):
            noted = {"request_id": req.context.request_id, "context": {"address": str(address)}}
            log.warning("an address outside the admin allowlist", extra=noted)
            raise falcon.HTTPForbidden(
                title="Not from this address",
                description=f"The administration is open to some networks only, and {address} is in none of them. "
                "PROXY_ADMIN_ALLOWED_CIDRS says which; PROXY_TRUSTED_PROXIES, whose x-forwarded-for is believed.",
            )

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, succeeded: bool) -> None:
        resp.set_header("x-proxy-request-id", req.context.request_id)
        if _has_body(req.env) and not req.context.is_body_read:
            resp.set_header("connection", "close")
        if resp.get_header("cache-control") is None:
            resp.set_header("cache-control", "no-store")
        resp.set_header("content-security-policy", _POLICY_OF_CLAIMS if req.path.startswith(f"{CLAIMS}/") else _POLICY)
        for name, value in self._headers:
            resp.set_header(name, value)


def _forwarded_for(environ: dict[str, Any]) -> Iterable[str]:
    """From the server's own list where there is one: the joined field also holds `X_Forwarded_For`, which a client can send
    past every proxy that cleans up after it."""
    raw = environ.get("proxy.headers")
    if raw is None:
        return filter(None, [environ.get("HTTP_X_FORWARDED_FOR")])
    return [value for name, value in raw if name.lower() == _FORWARDED_FOR]


def _has_body(environ: dict[str, Any]) -> bool:
    return environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ
