"""One HTTP/1.1 exchange with an upstream: the request as bytes, the answer as it comes.

httptools (the parser of Node.js) reads the answer; the sockets belong to others. Refuses to know pools, retries, Anthropic or
Bedrock. Invariant: an answer's body is read to its true end, or `BodyBroken` says that there was none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import httptools

from proxy_app.call import Headers
from proxy_app.upstream_socket import UpstreamSocket

_LONGEST_HEAD = 256 * 1024


class ConnectFailed(Exception):
    """No connection: refused, unknown name, TLS failure, or not within the connect timeout."""


class NoAnswer(Exception):
    """The upstream closed, reset or spoke no HTTP before a whole answer head. `silent`: not one byte had come."""

    def __init__(self, detail: str, *, silent: bool) -> None:
        super().__init__(detail)
        self.silent = silent


class BodyBroken(Exception):
    """The answer's body ended before its time."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to connect, and the `host` header that goes with it. `path` is put before every request's target."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def of(cls, url: str) -> Origin:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, parts.hostname or "", port, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request, ready to be written. `headers` holds neither `host` nor framing; names and values are latin-1."""

    origin: Origin
    method: str
    target: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)

    def head(self) -> bytes:
        lines = [f"{self.method} {self.origin.path}{self.target} HTTP/1.1\r\nhost: {self.origin.authority}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(f"content-length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class NotHttp(Exception):
    """These bytes are no HTTP answer that this side can read."""


class AnswerParser:
    """One answer, fed as its bytes come. Interim (1xx) heads are passed over, trailers too (they are hop-by-hop).

    What follows a complete answer is not part of it and not read: it only makes the connection unfit for another one.
    """

    __slots__ = (
        "_head_bytes",
        "_parser",
        "body",
        "broken",
        "complete",
        "headers",
        "headers_complete",
        "reason",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self.status = 0
        self.reason = ""
        self.headers: list[tuple[str, str]] = []
        self.body: list[bytes] = []
        self.headers_complete = False
        self.complete = False
        self.broken = ""
        self.reusable = False

    def feed(self, received: bytes) -> None:
        """Raises NotHttp before the head is whole; after that `broken` says why the body cannot be read any further."""
        if not self.headers_complete:
            self._head_bytes += len(received)
        try:
            self._parser.feed_data(received)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(type(error).__name__)
        if not self.headers_complete and self._head_bytes > _LONGEST_HEAD:
            raise NotHttp(f"no end of the head within {_LONGEST_HEAD} bytes")

    def end(self) -> None:
        """The upstream closed after a whole head: the regular end of a body that nothing else frames, else its breach."""
        if self._values("content-length") or "chunked" in self._codings():
            self.broken = "the connection ended inside the body"
        else:
            self.complete = True

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False

    def on_status(self, text: bytes) -> None:
        if not self.complete:
            self.reason += text.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.headers_complete:
            self.headers.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        if not self._codings() <= {"chunked", "identity"}:  # the field is not passed on, so the body would be unreadable
            raise NotHttp("a transfer coding that was not asked for")
        self.status = self._parser.get_status_code()
        self.headers_complete = self.status >= 200

    def on_body(self, chunk: bytes) -> None:
        if not self.complete:
            self.body.append(chunk)

    def on_message_complete(self) -> None:
        if self.complete:
            return
        if self.headers_complete:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()  # the parser forgets it when this callback returns
        else:
            self.headers.clear()
            self.reason = ""

    def _fail(self, why: str) -> None:
        if not self.headers_complete:
            raise NotHttp(why)
        self.reusable = False
        self.broken = "" if self.complete else why

    def _codings(self) -> set[str]:
        return {coding.strip().lower() for value in self._values("transfer-encoding") for coding in value.split(",")}

    def _values(self, wanted: str) -> list[str]:
        return [value for name, value in self.headers if name.lower() == wanted]


class Connection(Protocol):
    """A connection in use by one exchange; it ends in exactly one of two ways."""

    @property
    def socket(self) -> UpstreamSocket: ...

    def give_back(self) -> None:
        """The answer was read to its end: another exchange may follow."""

    def drop(self) -> None:
        """Close it, so that the upstream stops working on the answer."""


class UpstreamAnswer:
    """A status and headers that have arrived, and a body under way. Whoever holds it calls `close()`."""

    __slots__ = ("_connection", "_parser", "headers", "reason", "status")

    def __init__(self, connection: Connection, parser: AnswerParser) -> None:
        self._connection: Connection | None = connection
        self._parser = parser
        self.status = parser.status
        self.reason = parser.reason
        self.headers: Headers = tuple(parser.headers)

    @property
    def ended(self) -> bool:
        """All of the body is here (though perhaps not yet read): no further wait will happen."""
        return self._parser.complete

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def read(self, deadline: float) -> bytes:
        """What has arrived since, waiting for at least a byte; b"" once, at the end.

        Raises Expired at `deadline`, Severed when the lifeline was cut, BodyBroken when the upstream failed.
        """
        parser = self._parser
        while not parser.body and not parser.complete:
            if parser.broken:
                raise BodyBroken(parser.broken)
            self._receive(parser, deadline)
        if parser.complete and self._connection is not None:
            self._release()
        chunk = parser.body[0] if len(parser.body) == 1 else b"".join(parser.body)
        parser.body.clear()
        return chunk

    def chunks(self, silence_s: float, clock: Callable[[], float]) -> Iterator[bytes]:
        while chunk := self.read(clock() + silence_s):
            yield chunk

    def close(self) -> None:
        """Idempotent. Mid-body this drops the connection, so that the upstream stops working on the answer."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    def _receive(self, parser: AnswerParser, deadline: float) -> None:
        if self._connection is None:
            raise BodyBroken("the answer was closed")
        try:
            received = self._connection.socket.receive(deadline)
        except OSError as error:
            raise BodyBroken(type(error).__name__) from error
        if received:
            parser.feed(received)
        else:
            parser.end()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._parser.reusable:
            connection.give_back()
        else:
            connection.drop()
