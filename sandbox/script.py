"""What a stand-in does with a connection, as a script of steps: send these bytes, stay silent, part.

A fault is nothing but another script, so every fault is a pure function and only `connection.py` touches a socket.
Knows framing (chunked, by length); refuses to know what the bytes mean, who asked, and what time it is.
Invariant: a piece that completes an answer is marked so, and the token counts a client knows after a piece ride on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

Headers = tuple[tuple[str, str], ...]

CHUNKED: Headers = (("Transfer-Encoding", "chunked"),)
LAST_CHUNK = b"0\r\n\r\n"
REASONS = {status.value: status.phrase for status in HTTPStatus} | {520: "Unknown Error", 529: "Overloaded"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """The five counts of a bill. `output` grows while an answer is under way."""

    input: int = 0
    output: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0

    def plus(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.output + other.output,
            self.cache_write_5m + other.cache_write_5m,
            self.cache_write_1h + other.cache_write_1h,
            self.cache_read + other.cache_read,
        )


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the client. `known` is what it can have counted once they arrived; `complete` ends an answer."""

    content: bytes
    known: Tokens | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence, in which a client that leaves is noticed at once."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Part:
    """The end of the connection: an orderly end of file, or a reset."""

    how: Literal["fin", "rst"] = "fin"


Step = Send | Pause | Part
Script = Iterable[Step]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is framed. Streamed pieces each become a chunk; one that is not streamed goes by length."""

    status: int
    headers: Headers
    pieces: tuple[Send, ...]
    streamed: bool = False

    def with_headers(self, *added: tuple[str, str]) -> Answer:
        """The same answer, where a header of the same name is replaced."""
        names = {name.lower() for name, _ in added}
        kept = tuple(pair for pair in self.headers if pair[0].lower() not in names)
        return replace(self, headers=(*kept, *added))

    @property
    def body(self) -> bytes:
        return b"".join(piece.content for piece in self.pieces)


def head_bytes(status: int, headers: Headers) -> bytes:
    """Status line and headers as they go over the wire."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def opening(answer: Answer) -> bytes:
    """The head with the header that says how the body is framed."""
    framing = CHUNKED if answer.streamed else (("Content-Length", str(len(answer.body))),)
    return head_bytes(answer.status, (*answer.headers, *framing))


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def framed(answer: Answer) -> Iterator[Send]:
    """The body's pieces as they go over the wire; what ends the body travels with the last one."""
    if not answer.streamed:
        known = answer.pieces[-1].known if answer.pieces else None
        yield Send(answer.body, known, complete=True)
        return
    for piece in answer.pieces[:-1]:
        yield replace(piece, content=chunk(piece.content))
    last = answer.pieces[-1] if answer.pieces else Send(b"")
    content = chunk(last.content) if last.content else b""
    yield Send(content + LAST_CHUNK, last.known, complete=True)


def script_of(answer: Answer) -> Iterator[Step]:
    """The plain course of an answer. One that goes by length leaves in a single write."""
    if not answer.streamed:
        body = next(framed(answer))
        yield replace(body, content=opening(answer) + body.content)
        return
    yield Send(opening(answer))
    yield from framed(answer)
