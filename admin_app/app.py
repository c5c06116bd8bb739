"""The admin app: its route table on a Falcon app, and what it answers when something is wrong.

Refuses to know the proxy: what it needs of its worker is handed in as `Surroundings`. Invariants: every request gets one log
line, without its address bar or its fields; no answer shows a traceback.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import falcon

from admin_app import (
    admin_pages,
    audit_pages,
    bedrock_key_pages,
    circuit_pages,
    claude_session_pages,
    csv_pages,
    dashboard_pages,
    key_pages,
    link_pages,
    model_pages,
    price_pages,
    request_pages,
    system_pages,
    usage_pages,
    user_pages,
)
from admin_app.account import account_routes
from admin_app.admin_bearers import AdminBearers
from admin_app.admission import Admission
from admin_app.api import Api, ApiApp, is_below
from admin_app.api_reference import ReferencePage
from admin_app.api_routes import all_offers
from admin_app.bearers import Bearers
from admin_app.claim import ROUTE as CLAIM_ROUTE
from admin_app.claim import ClaimPage, Issuing
from admin_app.claim_operations import CLAIMS
from admin_app.confirm import Confirm
from admin_app.doorkeeper import HOME, Doorkeeper, led_to
from admin_app.front import Front
from admin_app.gate import Gate
from admin_app.operation import BadFields, NotAllowed, NotConfirmed, Tools
from admin_app.owner import Owner
from admin_app.password_queue import PasswordQueue
from admin_app.session import Sessions
from admin_app.sign_in import SignIn, SignOut
from admin_app.sign_in_notes import SignInNotes
from admin_app.throttle import Throttle
from admin_app.who_may import declared
from core.access import Limits, NotFound, Refused
from core.credentials import Credentials
from core.crypto import Vault
from core.db import Database, DatabaseAway
from core.heartbeat import WorkerSeen
from core.local_files import LocalSecrets
from core.log import AccessLog
from core.pages import FixedFile, Pages
from core.ports import BedrockProbe
from core.settings import Settings
from core.version import VERSION

log = logging.getLogger(__name__)

# Each has `routes(front)`: path -> resource.
_NOUNS = (
    dashboard_pages,
    user_pages,
    usage_pages,
    key_pages,
    bedrock_key_pages,
    link_pages,
    csv_pages,
    request_pages,
    claude_session_pages,
    circuit_pages,
    price_pages,
    model_pages,
    audit_pages,
    admin_pages,
    system_pages,
)
_YEAR = "private, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the admin app needs of the worker it runs in. `clock` is monotonic, `wall` unix seconds. `bearers`: who
    calls the API, where it is not the admins of the database."""

    this_worker: Callable[[], WorkerSeen]
    new_request_id: Callable[[], str]
    access_log: AccessLog
    vault: Vault
    probe: BedrockProbe
    known_models: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    known_regions: tuple[str, ...] = ()
    bearers: Bearers | None = None
    pages: Pages = field(default_factory=lambda: Pages(VERSION))


class AdminApp:
    """A WSGI callable for `/admin` and all below it, and for links under `/claim/`.

    `database` is its own: a report must not hold key look-ups up. `routes`: address -> what answers there, and
    `offers`, the API's, so that proofs can be about all of them.
    """

    def __init__(self, settings: Settings, secrets: LocalSecrets, database: Database, around: Surroundings) -> None:
        self._around = around
        self._database = database
        self._pages = around.pages
        self.owner = Owner(settings.admin_username, secrets.admin_password_hash, database, self._now)
        self._queue = PasswordQueue()
        doorkeeper = self.doorkeeper = self._doorkeeper(settings, secrets)
        issuing = Issuing(secrets.server_secret, Limits.of(settings), settings.base_url, self._now)
        known = (lambda: around.known_models, around.this_worker, around.known_regions)
        tools = Tools(settings, secrets.server_secret, around.vault, around.probe, *known, hash_password=self._queue.hash_new)
        front = Front(doorkeeper, self._pages, database, tools, self._now)
        note = SignInNotes(database, self._now)
        bearers = around.bearers or AdminBearers(doorkeeper.admission, doorkeeper.credentials, note)
        offers = all_offers(bearers)
        routes = {
            **{path: page for noun in _NOUNS for path, page in noun.routes(front).items()},
            f"{HOME}/login": SignIn(doorkeeper, note),
            f"{HOME}/logout": SignOut(doorkeeper, note),
            f"{HOME}/confirm": Confirm(doorkeeper, self._pages, note),
            f"{HOME}/api": ReferencePage(front, offers),
            **account_routes(front, note),
            CLAIM_ROUTE: ClaimPage(database, self._pages, issuing),
            **{f"{place}/{file.name}": _Fixed(file) for place in (HOME, CLAIMS) for file in self._pages.files},
        }
        gate = Gate(settings, around.new_request_id)
        self.routes, self.offers = declared(routes), offers
        self._falcon = self._serving(routes, gate)
        self._api = ApiApp(Api(database, tools, bearers, self._now), offers, gate)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        began, answered = self._around.clock(), dict[str, str]()

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            answered.update({**dict(headers), "status": status[:3]})
            return start_response(status, headers)

        answer = self._api if is_below(environ.get("PATH_INFO", "")) else self._falcon
        chunks: Iterable[bytes] = answer(environ, start)
        self._note(
            answered, "claim" if _home(environ.get("PATH_INFO", "")) == CLAIMS else "admin", (self._around.clock() - began) * 1000
        )
        return chunks

    def close(self) -> None:
        self._queue.close()
        self._database.close()

    def _doorkeeper(self, settings: Settings, secrets: LocalSecrets) -> Doorkeeper:
        identity = (self.owner.username, self.owner.password_hash)
        sessions = Sessions(secrets.jwt_secret, identity, is_secure=not settings.is_local, wall=self._around.wall)
        own = (secrets.server_secret, secrets.jwt_secret)
        credentials = Credentials(self._database, *own, settings.admin_require_totp, self._now)
        throttle = Throttle(self._around.clock)
        admission = Admission(self._database, self.owner, throttle, self._queue, secrets.server_secret, self._now)
        return Doorkeeper(sessions, credentials, admission, self._pages)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._around.wall(), UTC)

    def _serving(self, routes: dict[str, Any], gate: Gate) -> falcon.App[Any, Any]:
        app = falcon.App(middleware=[gate])
        app.req_options.strip_url_path_trailing_slash = True
        for path, resource in routes.items():
            app.add_route(path, resource)
        app.add_error_handler(Exception, self._crashed)
        app.add_error_handler(Refused, self._not_done)
        app.add_error_handler(DatabaseAway, self._away)
        app.add_error_handler(falcon.HTTPError, self._refused)
        return app

    def _refused(self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: Any) -> None:
        missing = "There is no such page." if error.status_code == 404 else ""
        title = (error.title or "").removeprefix(f"{error.status_code} ")
        self._say(req, resp, str(error.status), (title, error.description or missing))
        resp.set_headers(dict(error.headers or {}))

    def _not_done(self, req: falcon.Request, resp: falcon.Response, error: Refused, params: Any) -> None:
        """Where a page does not show a refusal itself."""
        if isinstance(error, NotConfirmed):
            raise led_to(req, f"{HOME}/confirm?{urlencode({'next': req.relative_uri})}")
        kinds = ((NotFound, falcon.HTTP_404), (NotAllowed, falcon.HTTP_403), (BadFields, falcon.HTTP_422))
        status = next((status for kind, status in kinds if isinstance(error, kind)), falcon.HTTP_409)
        title, text = "Not found" if status == falcon.HTTP_404 and req.method != "POST" else "Not done", str(error)
        self._say(req, resp, status, (title, f"{text[:1].upper()}{text[1:]}."))

    def _away(self, req: falcon.Request, resp: falcon.Response, error: DatabaseAway, params: Any) -> None:
        log.warning("a page is without the database: %s", error, extra={"request_id": req.context.request_id})
        text = "The database is away. Known access keys are still served. Please try again in a moment."
        self._say(req, resp, falcon.HTTP_503, ("Not now", text))
        resp.set_header("retry-after", "5")

    def _crashed(self, req: falcon.Request, resp: falcon.Response, error: Exception, params: Any) -> None:
        request_id = req.context.request_id
        log.exception("an admin page failed", extra={"request_id": request_id})
        self._say(req, resp, falcon.HTTP_500, ("Something went wrong", f"The log has the details, under {request_id}."))

    def _say(self, req: falcon.Request, resp: falcon.Response, status: str, words: tuple[str, str]) -> None:
        title, text = words
        resp.status = status
        resp.content_type = falcon.MEDIA_HTML
        resp.text = self._pages.render("message.html", home=_home(req.path), status=status[:3], title=title, text=text)

    def _note(self, answered: dict[str, str], endpoint: str, total_ms: float) -> None:
        context = {"user_id": "", "access_key_id": "", "provider": "", "endpoint": endpoint}
        figures = {"status": int(answered["status"]), "total_ms": round(total_ms, 3)}
        self._around.access_log.write(answered["x-proxy-request-id"], self._around.wall(), {**context, **figures})


class _Fixed:
    """A file beside the pages. Kept by browsers where they ask for exactly this content, with its tag in `v`: while a release
    rolls out, a page of the new one may get the file of the old one."""

    is_open = True

    def __init__(self, file: FixedFile) -> None:
        self._file = file

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = self._file.media_type
        if req.get_param("v") == self._file.tag:
            resp.set_header("cache-control", _YEAR)
        resp.data = self._file.content


def _home(path: str) -> str:
    """Where a page's style sheet is; that of the admin is not open to all."""
    return CLAIMS if path.startswith(f"{CLAIMS}/") else HOME
