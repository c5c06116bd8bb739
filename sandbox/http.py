"""HTTP/1.1 requests, read strictly: what a careful origin refuses is refused here, so that a proxy's slips are seen.

Knows the grammar of a request head and of its framing; refuses to know sockets (bytes come from a `Source`) and paths.
Invariant: the raw target and the header pairs are kept as they arrived, in wire order.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Protocol

from sandbox.script import Headers

MAX_HEAD_BYTES = 256 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
REQUEST_LINE = re.compile(r"([A-Z]+) (\S+) HTTP/1\.([01])")
HEADER_LINE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class BadRequest(Exception):
    """The peer does not speak HTTP/1.1 as an origin demands. The connection cannot be used any further."""


class Source(Protocol):
    """Where a request's bytes come from; both block, and both raise when the peer goes away."""

    def read_until(self, mark: bytes, limit: int) -> bytes:
        """Everything up to and including the mark."""

    def read_exactly(self, size: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Head:
    method: str
    target: str
    headers: Headers
    fields: dict[str, str]
    minor: int

    @property
    def keep_alive(self) -> bool:
        tokens = {token.strip() for token in self.fields.get("connection", "").lower().split(",")}
        return "close" not in tokens and (self.minor == 1 or "keep-alive" in tokens)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read to its end. `fields`: first value by lower-case name; `digest`: SHA-256 of the body."""

    method: str
    target: str
    headers: Headers
    body: bytes = field(repr=False)
    fields: dict[str, str] = field(repr=False, compare=False)
    digest: bytes = field(repr=False)
    keep_alive: bool = True

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


def request_of(head: Head, body: bytes) -> Request:
    digest = hashlib.sha256(body).digest()
    return Request(head.method, head.target, head.headers, body, head.fields, digest, head.keep_alive)


def parse_head(content: bytes) -> Head:
    """A request head with its blank line. Raises BadRequest."""
    lines = content.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    line = REQUEST_LINE.fullmatch(lines[0])
    if line is None:
        raise BadRequest("malformed request line")
    headers = tuple(_header(raw) for raw in lines[1:])
    fields: dict[str, str] = {}
    for name, value in headers:
        fields.setdefault(name.lower(), value)
    head = Head(line[1], line[2], headers, fields, int(line[3]))
    _refuse_ambiguity(head)
    return head


def _header(raw: str) -> tuple[str, str]:
    pair = HEADER_LINE.fullmatch(raw)
    if pair is None or CONTROL.search(pair[2]):
        raise BadRequest("malformed header line")
    return pair[1], pair[2]


def _refuse_ambiguity(head: Head) -> None:
    """One Host, one way to frame the body: anything else is how requests are smuggled."""
    names = [name.lower() for name, _ in head.headers]
    if names.count("host") != 1 and head.minor == 1:
        raise BadRequest("exactly one Host is required")
    if names.count("content-length") > 1 or names.count("transfer-encoding") > 1:
        raise BadRequest("repeated framing header")
    if "transfer-encoding" in names and "content-length" in names:
        raise BadRequest("both content-length and transfer-encoding")


def read_body(head: Head, source: Source) -> bytes:
    """The whole body, by either framing. Raises BadRequest."""
    encoding = head.fields.get("transfer-encoding")
    if encoding is not None:
        if encoding.lower() != "chunked":
            raise BadRequest("unknown transfer-encoding")
        return _read_chunks(source)
    length = head.fields.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or int(length) > MAX_BODY_BYTES:
        raise BadRequest("unacceptable content-length")
    return source.read_exactly(int(length))


def _read_chunks(source: Source) -> bytes:
    parts: list[bytes] = []
    total = 0
    while True:
        size = _chunk_size(source.read_until(b"\r\n", 1024))
        total += size
        if total > MAX_BODY_BYTES:
            raise BadRequest("body too large")
        if size == 0:
            break
        parts.append(source.read_exactly(size))
        if source.read_exactly(2) != b"\r\n":
            raise BadRequest("chunk without its end")
    while source.read_until(b"\r\n", 8192) != b"\r\n":
        pass  # trailers are allowed, and mean nothing here
    return b"".join(parts)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", digits):
        raise BadRequest("malformed chunk size")
    return int(digits, 16)
