"""What both stand-ins are to the rest of the sandbox: somebody who reads a request, answers it, and fails in style.

Knows the protocol between the stage (sockets, faults, journal) and a stand-in; refuses to know either side's inside.
Invariant: a stand-in is pure towards the stage: it never sends, sleeps, or counts what was delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from sandbox.http import Request
from sandbox.script import Answer, Headers, Send


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its stand-in reads it. `generates`: tokens are made for it; `body` is None when it is no object."""

    request: Request
    generates: bool
    model: str
    credential: str
    body: dict[str, Any] | None


class Upstream(Protocol):
    def read(self, request: Request) -> Asked: ...

    def answer(self, asked: Asked, deltas: int = 0) -> Answer:
        """The honest answer, refusals included. `deltas` asks for a text of so many stream events."""

    def refusal(self, status: int, kind: str, message: str) -> Answer:
        """An error in this upstream's shape. `kind`: the upstream's own name, or Anthropic's; status 0: the kind's own."""

    def stream_of(self, asked: Asked, pieces: tuple[Send, ...]) -> Answer:
        """A 200 with this upstream's stream headers and just these pieces."""

    def broken(self, kind: str, message: str) -> Send:
        """An error inside a stream."""


def credential_of(request: Request) -> str:
    """The API key or bearer token, or an empty string."""
    scheme, _, token = request.fields.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return request.fields.get("x-api-key", "").strip() or bearer


def json_object(content: bytes) -> dict[str, Any] | None:
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def json_answer(status: int, headers: Headers, value: Any) -> Answer:
    return Answer(status, (("Content-Type", "application/json"), *headers), (Send(orjson.dumps(value)),))
