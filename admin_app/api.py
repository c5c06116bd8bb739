"""The REST API (SPEC section 11): the declared operations at their addresses, and what it answers when something is wrong.

Knows HTTP and the declarations, no noun. Invariants: nothing is done for whoever came without a good bearer, and no cookie
counts; every answer is JSON, a problem+json where something is not done; no answer tells of an error's inside.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import falcon

from admin_app import problems
from admin_app.api_body import read_body, shape_of
from admin_app.bearers import Bearers
from admin_app.gate import Gate
from admin_app.openapi import describe
from admin_app.operation import Offer, Tools, Work, check_allowed, perform
from admin_app.problems import Kind, NotDone, problem_of
from admin_app.replays import Answered, document_of, once
from core.actor import Actor, Role
from core.db import Database, DatabaseAway
from core.idempotency import Asked, digest_of
from core.version import VERSION

log = logging.getLogger(__name__)

BASE = "/admin/api/v1"
DOCUMENT = "/admin/api/openapi.json"
_ONCE = frozenset({"POST", "PATCH"})  # methods that take an Idempotency-Key
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_MOST_BEARER_CHARS = 4096


@dataclass(frozen=True, slots=True)
class Api:
    """What the API works with. `now` is aware UTC."""

    database: Database
    tools: Tools
    bearers: Bearers
    now: Callable[[], datetime]

    def serve(self, offer: Offer, req: falcon.Request, resp: falcon.Response, **path: str) -> None:
        """Raises NotDone, Refused, DatabaseAway."""
        actor = self._nobody(req) if offer.is_open else self._caller(req)
        work = Work(self.database, actor, self.now(), self.tools)
        check_allowed(offer.operation, actor, work.now)
        key = "" if offer.is_open or offer.method not in _ONCE else _key(req)
        body = read_body(req)
        taken = shape_of(offer.operation.takes, req, path, body)
        if key:
            digest = digest_of(self.tools.server_secret, offer.method.encode(), req.path.encode(), body)
            answered = once(self.database, Asked(actor.admin_id, key, digest), offer, work, taken)
        else:
            answered = Answered(offer.status, document_of(perform(offer.operation, work, taken)))
        _answer(resp, answered)

    def _caller(self, req: falcon.Request) -> Actor:
        scheme, _, token = (req.get_header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise NotDone(Kind.NO_TOKEN, "Authorization: Bearer is missing.", headers=problems.challenge())
        token = token.strip()
        actor = self.bearers.authenticate(token, req.context.site) if len(token) <= _MOST_BEARER_CHARS else None
        if actor is None:
            detail = "The token is not one of ours, or has ended."
            raise NotDone(Kind.NO_TOKEN, detail, headers=problems.challenge("invalid_token"))
        return actor

    def _nobody(self, req: falcon.Request) -> Actor:
        return Actor("", "", Role.VIEWER, "", "", req.context.site)


class ApiApp:
    """A WSGI callable for all below `/admin/api/`."""

    def __init__(self, api: Api, offers: Sequence[Offer], gate: Gate) -> None:
        app = falcon.App(middleware=[gate])
        app.req_options.strip_url_path_trailing_slash = True
        for path in dict.fromkeys(offer.path for offer in offers):
            app.add_route(f"{BASE}{path}", Place(api, [offer for offer in offers if offer.path == path]))
        app.add_route(DOCUMENT, Document(offers))
        for kind in (Exception, falcon.HTTPError):
            app.add_error_handler(kind, _say)
        self._falcon = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        chunks: Iterable[bytes] = self._falcon(environ, start_response)
        return chunks


class Place:
    """One address with the operations that it has, each a responder of its method."""

    def __init__(self, api: Api, offers: Sequence[Offer]) -> None:
        for offer in offers:
            setattr(self, f"on_{offer.method.lower()}", partial(api.serve, offer))


@dataclass
class Document:
    """`openapi.json`: written once a process. Open to whoever the allowlist lets in: it describes the product, not the place."""

    offers: Sequence[Offer]
    written: bytes = field(default=b"", init=False)

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        self.written = self.written or describe(self.offers, VERSION)
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self.written


def is_below(path: str) -> bool:
    """Whether the API answers there; `/admin/api` itself is a page."""
    return path.startswith(f"{problems.REFERENCE}/") and path.rstrip("/") != problems.REFERENCE


def _key(req: falcon.Request) -> str:
    key = req.get_header("idempotency-key") or ""
    if key and _KEY.fullmatch(key) is None:
        raise NotDone(Kind.UNREADABLE, "Idempotency-Key has 1 to 200 visible ASCII characters.")
    return key


def _answer(resp: falcon.Response, answered: Answered) -> None:
    resp.status = falcon.code_to_http_status(answered.status)
    if answered.is_replayed:
        resp.set_header("idempotency-replayed", "true")
    if answered.document:
        resp.content_type = falcon.MEDIA_JSON
        resp.data = answered.document


def _say(req: falcon.Request, resp: falcon.Response, error: Exception, _: Any) -> None:
    request_id = req.context.request_id
    problem = problem_of(error)
    if problem.kind is Kind.CRASHED:
        log.exception("an answer of the API failed", extra={"request_id": request_id})
    elif isinstance(error, DatabaseAway):
        log.warning("the API is without the database: %s", error, extra={"request_id": request_id})
    problems.answer(problem, request_id, resp)
