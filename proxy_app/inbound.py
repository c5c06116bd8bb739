"""An HTTP request into a `Call`: authenticated, bounded, read to its end within a deadline.

The only reader of the WSGI environ. Takes the target from the raw request line by bytes, never from the decoded path, and
the headers from the server's own list, which still has every field apart. Invariant: whoever gets a `Call` has a valid key
and a body within the limit; everybody else gets `Refused`, and the connection closes behind a body that was not read.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gunicorn.http.errors import ParseException

from core.threads import TookTooLong, sleep, time_limit
from core.types import Grant
from proxy_app.call import Asked, Call, Endpoint, Headers
from proxy_app.directory import Directory, Unavailable, Unknown
from proxy_app.errors import Refused
from proxy_app.hangup import ClientLine, LiveCalls
from proxy_app.json_body import Turns, at_once, is_quota_probe, read_head
from proxy_app.last_seen import LastSeen

_SHOWN = re.compile(r"(ak_[0-9A-Za-z]{6})[0-9A-Za-z]{38}\Z")
_KEYED = re.compile(r"/ak/([^/?#]*)([/?#].*)?\Z", re.DOTALL)
_ABSOLUTE = re.compile(r"https?://[^/]*", re.IGNORECASE)
_READ_BYTES = 262_144
# To undo chunks of one byte each is a lot of work: after so much of it the others get their turn. A sleep of 0 would not do:
# gevent looks at sockets only after 50 such.
_READ_CHUNKED_BYTES = 8192
_TURN_S = 0.005
_PAUSE_S = 0.001
_KEY_HEADER = "x-proxy-key"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request before its key is checked: who it says it is, and what it wants. `access_key` is as sent, unchecked."""

    environ: Mapping[str, Any]
    request_id: str
    method: str
    access_key: str
    target: str
    headers: Headers
    started: float
    started_at: float

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def key_shown(self) -> str:
        """As much of the key as may be shown, so that whoever still uses an old one can be found. Empty if it is no key."""
        shown = _SHOWN.match(self.access_key)
        return f"key {shown[1]}" if shown else ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How bodies are read: the largest in bytes, the seconds for reading one and for committing to a stream; and long work on
    one is done in `turns`."""

    max_body_bytes: int
    body_timeout_s: float
    commit_s: float
    turns: Turns = at_once


class Inbound:
    """Reads requests."""

    def __init__(
        self,
        directory: Directory,
        live: LiveCalls,
        reading: Reading,
        new_request_id: Callable[[float], str],
        clocks: tuple[Callable[[], float], Callable[[], float]],
        last_seen: LastSeen,
    ) -> None:
        self._directory = directory
        self._last_seen = last_seen
        self._live = live
        self._reading = reading
        self._new_request_id = new_request_id
        self._clock, self._wall = clocks

    def arrival(self, environ: Mapping[str, Any]) -> Arrival:
        """Cheap and total: never raises, so that every answer can carry a request id."""
        now = self._wall()
        headers = _headers(environ)
        access_key, target = _split_target(_raw_target(environ))
        if not access_key:
            access_key = next((value for name, value in headers if name == _KEY_HEADER), "")
        method = environ["REQUEST_METHOD"]
        return Arrival(environ, self._new_request_id(now), method, access_key, target, headers, self._clock(), now)

    def grant(self, arrival: Arrival) -> Grant:
        """Raises Refused: one and the same 403 for every reason, 503 while the key cannot be looked up."""
        if not any(name == "host" for name, _ in arrival.headers):
            raise Refused(400, "invalid_request_error", "the request has no Host header; send exactly one", close=True)
        try:
            grant = self._directory.grant_of(arrival.access_key)
        except Unknown:
            raise Refused(
                403,
                "permission_error",
                "this access key is not valid; ask your administrator for a new one and set ANTHROPIC_BASE_URL to it",
                close=True,
            ) from None
        except Unavailable:
            raise Refused(
                503, "overloaded_error", "keys cannot be looked up at the moment; try again shortly", close=True, retry_after_s=5
            ) from None
        forwarded_for = (value for name, value in arrival.headers if name == "x-forwarded-for")
        self._last_seen.note(grant.access_key_id, arrival.environ.get("REMOTE_ADDR", ""), forwarded_for)
        return grant

    def call(self, arrival: Arrival, grant: Grant, endpoint: Endpoint) -> Call:
        """Read the body and make the `Call`. Raises Refused; blocks at most for the body's deadline."""
        lifeline = ClientLine(_client_socket(arrival.environ), self._live)
        try:
            body = self._read(arrival)
        except BaseException:
            lifeline.close()
            raise
        lifeline.watch()
        asked = _asked(body, self._reading.turns) if endpoint in (Endpoint.MESSAGES, Endpoint.COUNT_TOKENS) else Asked()
        return self._call(arrival, grant, endpoint, lifeline, body, asked)

    def unread_call(self, arrival: Arrival, grant: Grant, endpoint: Endpoint) -> Call:
        """What the books say of a request whose body was refused: whose it was. Watches nothing, needs no closing."""
        lifeline = ClientLine(None, self._live)
        lifeline.close()
        return self._call(arrival, grant, endpoint, lifeline, b"", Asked())

    def _call(self, arrival: Arrival, grant: Grant, endpoint: Endpoint, lifeline: ClientLine, body: bytes, asked: Asked) -> Call:
        received = self._clock()
        return Call(
            request_id=arrival.request_id,
            grant=grant,
            endpoint=endpoint,
            method=arrival.method,
            target=arrival.target,
            headers=arrival.headers,
            body=body,
            asked=asked,
            lifeline=lifeline,
            started=arrival.started,
            received=received,
            started_at=arrival.started_at,
            commit_by=received + self._reading.commit_s if asked.stream else float("inf"),
        )

    def _read(self, arrival: Arrival) -> bytes:
        announced = arrival.environ.get("CONTENT_LENGTH") or ""
        if announced.isdigit() and int(announced) > self._reading.max_body_bytes:
            raise self._too_large()
        if not announced and "HTTP_TRANSFER_ENCODING" not in arrival.environ:
            return b""
        try:
            with time_limit(self._reading.body_timeout_s):
                return self._read_bounded(arrival.environ["wsgi.input"], int(announced) if announced.isdigit() else None)
        except TookTooLong:
            raise Refused(408, "timeout_error", "the request body did not arrive in time; try again", close=True) from None
        except (ParseException, OSError, ValueError) as error:
            message = "the request body is malformed or ends early; send all of it in good framing"
            raise Refused(400, "invalid_request_error", message, close=True) from error

    def _read_bounded(self, stream: Any, announced: int | None) -> bytes:
        pieces: list[bytes] = []
        size, turn_ends = 0, self._clock() + _TURN_S
        while announced is None or size < announced:
            piece = stream.read(_READ_CHUNKED_BYTES if announced is None else min(_READ_BYTES, announced - size))
            if not piece:
                break
            if self._clock() > turn_ends:
                sleep(_PAUSE_S)
                turn_ends = self._clock() + _TURN_S
            pieces.append(piece)
            size += len(piece)
            if size > self._reading.max_body_bytes:
                raise self._too_large()
        if announced is not None and size < announced:
            raise ValueError("the body ended early")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _too_large(self) -> Refused:
        message = f"the request body is larger than {self._reading.max_body_bytes} bytes; shorten the conversation"
        return Refused(413, "request_too_large", message, close=True)


def _raw_target(environ: Mapping[str, Any]) -> str:
    raw: str = environ.get("RAW_URI") or environ["PATH_INFO"]
    if not raw.startswith("/"):
        raw = _ABSOLUTE.sub("", raw, count=1) or "/"
    return raw


def _split_target(raw: str) -> tuple[str, str]:
    """(`access key` or empty, the target behind it)."""
    match = _KEYED.match(raw)
    if match is None:
        return "", raw
    rest = match[2] or "/"
    return match[1], rest if rest.startswith("/") else "/" + rest


def _headers(environ: Mapping[str, Any]) -> Headers:
    """The server's list where there is one (core/worker.py), else what WSGI kept."""
    raw = environ.get("proxy.headers")
    if raw is not None:
        return tuple((name.lower(), value) for name, value in raw)
    named = [(name[5:].replace("_", "-").lower(), value) for name, value in environ.items() if name.startswith("HTTP_")]
    if environ.get("CONTENT_TYPE"):
        named.append(("content-type", environ["CONTENT_TYPE"]))
    return tuple(named)


def _client_socket(environ: Mapping[str, Any]) -> socket.socket | None:
    client: socket.socket | None = environ.get("gunicorn.socket")
    return client


def _asked(body: bytes, turns: Turns) -> Asked:
    with turns() as rest:
        head = read_head(body)
        rest()
    if head is None:
        return Asked()
    model = head.model if isinstance(head.model, str) else ""
    return Asked(model, head.stream is True, is_quota_probe(head), source=body, turns=turns)
