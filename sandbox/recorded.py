"""Answers given in advance, played back byte for byte: how a test proves that nothing on the way changes them.

Knows statuses, header pairs and three ways to frame a body; refuses to know what is in it.
Invariant: an answer is played as often as it was asked for, to the request that names it or else to the next one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.http import Request
from sandbox.script import LAST_CHUNK, Headers, Part, Send, Step, chunk, head_bytes

HEADER = "x-sandbox-answer"
KEYS = frozenset({"status", "headers", "body_b64", "chunks", "framing", "times"})
FRAMINGS = ("chunked", "length", "close")


class BadAnswer(Exception):
    """The description of an answer is not usable."""


@dataclass(slots=True)
class Recorded:
    """`sizes` cuts the body into pieces that are written one by one."""

    name: str
    status: int
    headers: Headers
    body: bytes
    sizes: tuple[int, ...]
    framing: Literal["chunked", "length", "close"]
    times: int

    def script(self) -> Iterator[Step]:
        yield Send(head_bytes(self.status, (*self.headers, *self._framing_header())))
        for piece in self._pieces():
            yield Send(chunk(piece) if self.framing == "chunked" else piece)
        if self.framing == "chunked":
            yield Send(LAST_CHUNK)
        if self.framing == "close":
            yield Part("fin")

    def _framing_header(self) -> Headers:
        if self.framing == "chunked":
            return (("transfer-encoding", "chunked"),)
        return (("content-length", str(len(self.body))),) if self.framing == "length" else (("connection", "close"),)

    def _pieces(self) -> Iterator[bytes]:
        at = 0
        for size in self.sizes:
            yield self.body[at : at + size]
            at += size
        if at < len(self.body):
            yield self.body[at:]


class Answers:
    def __init__(self) -> None:
        self._queue: list[Recorded] = []
        self._given = 0

    def add(self, wanted: dict[str, Any]) -> str:
        """Keep an answer and return its id. Raises BadAnswer."""
        self._given += 1
        name = f"answer-{self._given}"
        self._queue.append(_recorded(name, wanted))
        return name

    def take(self, request: Request) -> Recorded | None:
        """The answer for this request, if there is one."""
        wanted = request.fields.get(HEADER)
        for answer in self._queue:
            if wanted in (None, answer.name):
                answer.times -= 1
                if answer.times == 0:
                    self._queue.remove(answer)
                return answer
        return None

    def clear(self) -> None:
        self._queue.clear()


def _recorded(name: str, wanted: dict[str, Any]) -> Recorded:
    if set(wanted) - KEYS:
        raise BadAnswer(f"unknown keys: {sorted(set(wanted) - KEYS)}")
    try:
        body = base64.b64decode(wanted.get("body_b64", ""), validate=True)
        headers = tuple((str(key), str(value)) for key, value in wanted.get("headers", []))
        sizes = tuple(int(size) for size in wanted.get("chunks", []))
        status, times = int(wanted.get("status", 200)), int(wanted.get("times", 1))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadAnswer(str(error)) from error
    framing = wanted.get("framing", "chunked")
    if framing not in FRAMINGS:
        raise BadAnswer(f"framing must be one of {FRAMINGS}")
    if any(size <= 0 for size in sizes) or sum(sizes) > len(body) or times < 1:
        raise BadAnswer("chunks must be positive and fit into the body; times must be at least 1")
    return Recorded(name, status, headers, body, sizes, framing, times)
