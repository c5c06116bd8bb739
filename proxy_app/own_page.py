"""The developer's own view: `/status` as a page or as JSON, `/statusline` as one line (SPEC section 10).

Knows the key that asks, and nothing of any other user. Invariants: the access key is not in what is answered, but for the prefix
that may be shown; the status line never asks the database; with the database away the page says so, and what memory knows;
nothing is kept by anybody on the way, and a browser loads nothing but the shared style sheet and icon.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import orjson

from core.budget import month_of, percent_used
from core.db import Database, DatabaseAway
from core.own_report import OwnReport, own_report
from core.pages import Pages
from core.session_report import SESSIONS_A_PAGE, SessionTree, Whose, session_tree
from core.types import Grant
from proxy_app.call import Headers
from proxy_app.errors import Refused
from proxy_app.inbound import Arrival
from proxy_app.own_document import Own, at, document_of, session_document
from proxy_app.own_state import OwnStates
from proxy_app.rate_limit import RateLimits
from proxy_app.status_line import clock_time, current_windows, in_words, line_of

log = logging.getLogger(__name__)

LOOKS_A_MINUTE = 60  # of a key, in each worker: the reports' connection is one, and the admin's pages need it, too
PLACEHOLDER = "<your key>"
_SESSION = re.compile(r"[ -~]{1,80}")
_PAGE = re.compile(r"[1-9]\d{0,2}")
_LINE, _JSON, _HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"
_CURL = "curl -sf -m 2"
_PRIVATE: Headers = (
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-robots-tag", "noindex"),
)
_ONLY_TLS = ("strict-transport-security", "max-age=31536000; includeSubDomains")


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer that is whole."""

    status: int
    media_type: str
    content: bytes
    headers: Headers = _PRIVATE


@dataclass(frozen=True, slots=True)
class OwnFacts:
    """What the view needs to know of its place. `clock` is monotonic, `wall` unix seconds."""

    base_url: str
    zone: ZoneInfo
    is_local: bool
    clock: Callable[[], float]
    wall: Callable[[], float]


class OwnView:
    """One a worker. `reports` is not the database of key look-ups: a page must not hold those up."""

    def __init__(self, states: OwnStates, reports: Database, pages: Pages, facts: OwnFacts) -> None:
        self._states = states
        self._reports = reports
        self._pages = pages
        self._facts = facts
        self._looks = RateLimits(facts.clock)
        self._snippets = {"in_address": snippet(facts.base_url), "in_header": header_snippet(facts.base_url)}
        self._guarded = _guarded(facts.is_local)

    def status_line(self, _: Arrival, grant: Grant) -> Shown:
        """From memory alone."""
        now = self._facts.wall()
        return Shown(200, _LINE, f"{line_of(self._states.of(grant), now)}\n".encode())

    def status(self, arrival: Arrival, grant: Grant) -> Shown:
        """With `?session=` the agents of one session. Raises Refused for a key that looks too often: admins wait behind it."""
        wait_s = ceil(self._looks.admit(grant.access_key_id, LOOKS_A_MINUTE))
        if wait_s > 0:
            message = f"this page may be asked for {LOOKS_A_MINUTE} times a minute; /statusline as often as you like"
            raise Refused(429, "rate_limit_error", message, close=True, retry_after_s=wait_s)
        asked = parse_qs(arrival.target.partition("?")[2])
        session_id, page = asked.get("session", [""])[0], asked.get("page", ["1"])[0]
        wants_page = any(name == "accept" and "text/html" in value for name, value in arrival.headers)
        if session_id:
            return self._session(grant, session_id, wants_page)
        own = self._own(arrival, grant, int(page) if _PAGE.fullmatch(page) else 1)
        return self._as_page(200, "status/own.html", **_values(own), **self._snippets) if wants_page else _json(document_of(own))

    def _own(self, arrival: Arrival, grant: Grant, page: int) -> Own:
        now = self._now()
        month = month_of(now, self._facts.zone)
        report: OwnReport | None = None
        try:
            report = self._reports.read(lambda c: own_report(c, grant.user_id, grant.access_key_id, month.name, page))
        except DatabaseAway as away:
            log.warning("a developer's view is without the database: %s", away)
        key_shown = arrival.key_shown.removeprefix("key ")
        return Own(key_shown, grant, now, month, self._facts.zone.key, self._states.of(grant), report, page)

    def _session(self, grant: Grant, session_id: str, wants_page: bool) -> Shown:
        """404 for one that this key has no request in, whoever else may have."""
        whose = Whose(access_key_id=grant.access_key_id)
        tree: SessionTree | None = None
        status = 200
        try:
            if _SESSION.fullmatch(session_id):
                tree = self._reports.read(lambda c: session_tree(c, whose, session_id))
            status = 200 if tree else 404
        except DatabaseAway as away:
            log.warning("a session cannot be shown without the database: %s", away)
            status = 503
        if wants_page:
            return self._as_page(status, "status/session.html", now=self._now(), tree=tree, away=status == 503)
        return _json(session_document(tree) if tree else {"session": None}, status)

    def _as_page(self, status: int, template: str, **values: Any) -> Shown:
        return Shown(status, _HTML, self._pages.render(template, **values).encode(), self._guarded)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._facts.wall(), UTC)


def snippet(base_url: str) -> str:
    """Claude Code's settings, with the key in the address."""
    return _settings({"ANTHROPIC_BASE_URL": f"{base_url}/ak/{PLACEHOLDER}"}, "")


def header_snippet(base_url: str) -> str:
    """The same with the key in a header, for people who want none in addresses."""
    variables = {"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_CUSTOM_HEADERS": f"x-proxy-key: {PLACEHOLDER}"}
    return _settings(variables, ' -H "$ANTHROPIC_CUSTOM_HEADERS"')


def _settings(variables: dict[str, str], header: str) -> str:
    command = f'{_CURL}{header} "$ANTHROPIC_BASE_URL/statusline"'
    return json.dumps({"env": variables, "statusLine": {"type": "command", "command": command}}, indent=2)


def _values(own: Own) -> dict[str, Any]:
    """What the page's template asks for."""
    now = own.now.timestamp()
    total = own.report.sessions.total if own.report else 0
    return {
        "own": own,
        "now": own.now,
        "windows": current_windows(own.windows, now),
        "seen_at": at(own.windows.seen_at) if own.windows else None,
        "last_page": max(1, -(-total // SESSIONS_A_PAGE)),
        "clock_time": lambda unix_s: clock_time(unix_s, now),
        "at": at,
        "in_words": in_words,
        "percent_used": percent_used,
        "begins_anew": own.month.ends.astimezone(ZoneInfo(own.zone)),
    }


def _json(document: dict[str, Any], status: int = 200) -> Shown:
    return Shown(status, _JSON, orjson.dumps(document, option=orjson.OPT_UTC_Z))


def _guarded(is_local: bool) -> Headers:
    """The page's headers: no script, no style but ours, nothing from elsewhere, in no frame."""
    policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    guards = (("content-security-policy", policy), ("x-frame-options", "DENY"), ("cross-origin-opener-policy", "same-origin"))
    return (*_PRIVATE, *guards) if is_local else (*_PRIVATE, *guards, _ONLY_TLS)
