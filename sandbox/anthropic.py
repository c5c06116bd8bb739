"""The pretended Anthropic: its endpoints, its headers, and what it refuses.

Knows the Messages API as the public one behaves towards Claude Code; refuses to know faults, sockets and Bedrock.
Invariant: nothing is answered without a credential, a version and a valid body, except HEAD, /api/hello and /echo.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import orjson

from sandbox import anthropic_limits as limits
from sandbox.anthropic_refusals import SIGNATURE_PREFIX, NotServed, refuse
from sandbox.conversation import Invalid
from sandbox.http import Request
from sandbox.script import Answer, Headers, Send
from sandbox.speech import Speaker, compose, count_of, events_of, message_of
from sandbox.upstream import Asked, credential_of, json_answer, json_object

ENDPOINT = re.compile(r"(.*?)(/v1/messages/count_tokens|/v1/messages|/v1/models(?:/[^/]+)?|/api/hello|/echo.*)")
POSTS = frozenset({"/v1/messages", "/v1/messages/count_tokens"})
STATUS_KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 408: "timeout_error", 409: "conflict_error",
    413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
    502: "api_error", 503: "api_error", 504: "timeout_error", 520: "api_error", 529: "overloaded_error",
}  # fmt: skip
MODELS = (
    ("claude-fable-5-1", "Claude Fable 5.1", "2026-09-08"), ("claude-opus-5-5", "Claude Opus 5.5", "2026-09-22"),
    ("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-09-22"), ("claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-06"),
    ("claude-opus-5", "Claude Opus 5", "2026-07-14"), ("claude-sonnet-5", "Claude Sonnet 5", "2026-06-30"),
    ("claude-opus-4-7", "Claude Opus 4.7", "2026-04-16"), ("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17"),
    ("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29"),
    ("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-01"),
)  # fmt: skip
DATED = re.compile(r"-20\d{6}$")
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
ORGANIZATION = "5a2d0c11-7e55-4c1f-9a3e-5a4d0b0c0de5"


@dataclass(frozen=True, slots=True)
class Anthropic:
    """`prefix` is the path that must stand before /v1 (None: any). `text` is what the model says."""

    text: str = "Hello from Anthropic, the first upstream of this sandbox."
    prefix: str | None = None

    @property
    def _speaker(self) -> Speaker:
        return Speaker(self.text, infix="", signature_prefix=SIGNATURE_PREFIX, usage_in_delta=True)

    def read(self, request: Request) -> Asked:
        endpoint = self._endpoint(request)
        body = json_object(request.body) if endpoint in POSTS else None
        model = body.get("model") if body else None
        generates = request.method == "POST" and endpoint == "/v1/messages"
        return Asked(request, generates, model if isinstance(model, str) else "", credential_of(request), body)

    def answer(self, asked: Asked, deltas: int = 0) -> Answer:
        request, endpoint = asked.request, self._endpoint(asked.request)
        if request.method == "HEAD":
            return Answer(200, self._headers(asked), ())
        if endpoint.startswith("/echo"):
            return json_answer(200, self._headers(asked), _echo(request))
        if (request.method, endpoint) == ("GET", "/api/hello"):
            return json_answer(200, self._headers(asked), {"message": "hello"})
        try:
            refuse(asked, endpoint)
        except Invalid as error:
            return self.refusal(400, "invalid_request_error", str(error))
        except NotServed as error:
            return self.refusal(error.status, STATUS_KINDS[error.status], str(error))
        if request.method == "GET":
            return self._models(asked, endpoint)
        return self._generated(asked, endpoint, deltas)

    def refusal(self, status: int, kind: str, message: str) -> Answer:
        known = kind if kind in STATUS_KINDS.values() else STATUS_KINDS.get(status, "api_error")
        request_id = _request_id()
        error = {"type": "error", "error": {"type": known, "message": message}, "request_id": request_id}
        usual = next((code for code, name in STATUS_KINDS.items() if name == known), 500)
        return json_answer(status or usual, _edge_headers(request_id), error)

    def stream_of(self, asked: Asked, pieces: tuple[Send, ...]) -> Answer:
        stream = (("Content-Type", "text/event-stream; charset=utf-8"), ("Cache-Control", "no-cache"))
        return Answer(200, (*stream, *self._headers(asked)), pieces, streamed=True)

    def broken(self, kind: str, message: str) -> Send:
        return Send(_sse({"type": "error", "error": {"type": kind, "message": message}}))

    def _generated(self, asked: Asked, endpoint: str, deltas: int) -> Answer:
        body = asked.body or {}
        if endpoint == "/v1/messages/count_tokens":
            return json_answer(200, self._headers(asked), {"input_tokens": count_of(asked.request.body)})
        speech = compose(self._speaker, _resolved(asked.model), body, asked.request.digest, deltas)
        if not body.get("stream"):
            answer = json_answer(200, self._headers(asked), None)
            content = orjson.dumps(message_of(speech))
            return Answer(200, answer.headers, (Send(content, speech.tokens),))
        pieces = [Send(_sse(event), known) for event, known in events_of(speech, self._speaker)]
        pieces.insert(1, Send(PING))
        return self.stream_of(asked, tuple(pieces))

    def _models(self, asked: Asked, endpoint: str) -> Answer:
        rows = [
            {"type": "model", "id": name, "display_name": title, "created_at": f"{day}T00:00:00Z"} for name, title, day in MODELS
        ]
        wanted = endpoint.removeprefix("/v1/models").removeprefix("/")
        if wanted:
            row = next((row for row in rows if row["id"] == wanted), None)
            return (
                json_answer(200, self._headers(asked), row) if row else self.refusal(404, "not_found_error", f"model: {wanted}")
            )
        limit = int(parse_qs(asked.request.query).get("limit", ["20"])[0])
        page = rows[:limit]
        listing = {"data": page, "has_more": len(page) < len(rows), "first_id": page[0]["id"], "last_id": page[-1]["id"]}
        return json_answer(200, self._headers(asked), listing)

    def _endpoint(self, request: Request) -> str:
        found = ENDPOINT.fullmatch(request.path)
        if found is None or (self.prefix is not None and found[1] != self.prefix):
            return ""
        return found[2]

    def _headers(self, asked: Asked) -> Headers:
        limited = limits.allowed(asked.credential, time.time()) if asked.generates else ()
        return (*_edge_headers(_request_id()), *limited)


def _edge_headers(request_id: str) -> Headers:
    """What comes from Anthropic's edge, with the hop-by-hop and cookie headers that a gateway must not pass on."""
    ray = request_id[-16:]
    return (
        ("Date", formatdate(usegmt=True)),
        ("Connection", "keep-alive"),
        ("request-id", request_id),
        ("anthropic-organization-id", ORGANIZATION),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("x-envoy-upstream-service-time", "412"),
        ("vary", "Accept-Encoding"),
        ("cf-cache-status", "DYNAMIC"),
        ("X-Robots-Tag", "none"),
        ("set-cookie", f"_cfuvid={ray}; HttpOnly; SameSite=None; Secure; Path=/; Domain=api.anthropic.com"),
        ("Server", "cloudflare"),
        ("CF-RAY", f"{ray}-LHR"),
    )


def _request_id() -> str:
    return f"req_011C{secrets.token_hex(10)}"


def _sse(event: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), orjson.dumps(event))


def _echo(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "target": request.target,
        "headers": [list(pair) for pair in request.headers],
        "body": request.body.decode("utf-8", "replace"),
        "body_bytes": len(request.body),
        "body_sha256": request.digest.hex(),
    }


def _resolved(model: str) -> str:
    """An alias without a date is answered under the model's whole name."""
    return next((name for name, *_ in MODELS if name == model or DATED.sub("", name) == model), model)
