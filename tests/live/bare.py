"""Both ends of a connection in bare bytes: an upstream that plays back exactly what it is given, and a client that keeps
exactly what it gets. No HTTP library stands between a test and the wire, so none can tidy up what the product did.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Literal
from urllib.parse import urlsplit

Pairs = list[tuple[str, str]]
End = Literal["keep", "fin", "rst"]
ANSWER = "x-answer"
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Played:
    """Bytes to be written piece by piece, and what becomes of the connection then."""

    pieces: Iterable[bytes]
    end: End = "keep"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived. `connection` numbers the connections in order of arrival."""

    connection: int
    head: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    @property
    def headers(self) -> Pairs:
        return _pairs(self.head)

    def first(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass
class RawUpstream:
    """Serves HTTP/1.1 over TCP, or over TLS with `wrap`. `answer` gets each request and says what is played."""

    answer: Callable[[Seen], Played]
    wrap: Callable[[socket.socket], socket.socket] | None = None
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> RawUpstream:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def url(self) -> str:
        return f"{'https' if self.wrap else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, EOFError), sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.wrap(sock) if self.wrap else sock as wrapped, wrapped.makefile("rb") as stream:
                while self._exchange(wrapped, stream, number):
                    pass

    def _exchange(self, sock: socket.socket, stream: BinaryIO, number: int) -> bool:
        head = read_head(stream)
        length = int(next((value for name, value in _pairs(head) if name.lower() == "content-length"), "0"))
        seen = Seen(number, head, stream.read(length))
        self.seen.append(seen)
        played = self.answer(seen)
        for piece in played.pieces:
            sock.sendall(piece)
        if played.end == "rst":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif played.end == "fin":
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        return played.end == "keep"


@dataclass(frozen=True)
class Got:
    """An answer as it came. `whole` is False when the connection ended before the framing did."""

    line: str
    headers: Pairs
    body: bytes
    whole: bool = True

    @property
    def status(self) -> int:
        return int(self.line.split(" ")[1])

    def first(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


class RawClient:
    """One connection to the product. `sock` is for tests that misbehave."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        address = urlsplit(url)
        self.sock = socket.create_connection((address.hostname or "", address.port or 80), timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.sock.makefile("rb")

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, *, reset: bool = False) -> None:
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with contextlib.suppress(OSError):
            self.stream.close()
        self.sock.close()

    def send(self, content: bytes) -> None:
        self.sock.sendall(content)

    def ask(self, target: str, headers: Pairs, body: bytes = b"", method: str = "POST") -> Got:
        self.send(request_bytes(target, headers, body, method))
        return self.receive(method)

    def receive(self, method: str = "POST") -> Got:
        """The next answer, by its own framing. Raises EOFError when there is none."""
        head = read_head(self.stream)
        got = Got(head.partition(b"\r\n")[0].decode("latin-1"), _pairs(head), b"")
        if method == "HEAD" or got.status in (204, 304) or got.status < 200:
            return got
        try:
            return Got(got.line, got.headers, b"".join(_body(self.stream, got)))
        except (EOFError, ConnectionResetError):
            return Got(got.line, got.headers, b"", whole=False)

    def first_chunk(self) -> bytes:
        read_head(self.stream)
        return self.chunk()

    def chunk(self) -> bytes:
        """One chunk of a chunked body, as soon as it is here; b"" at the body's end."""
        size = int(self.stream.readline(), 16)
        content = self.stream.read(size)
        self.stream.readline()
        return content

    def at_end(self) -> bool:
        """The server closed in good order, and said nothing more."""
        try:
            return self.stream.read(1) == b""
        except ConnectionResetError:
            return False

    def hears_within(self, seconds: float) -> bool:
        """Something is to be read, if only an end."""
        return bool(select.select([self.sock], [], [], seconds)[0])


def request_bytes(target: str, headers: Pairs, body: bytes = b"", method: str = "POST") -> bytes:
    framing = [("content-length", str(len(body)))] if body or method == "POST" else []
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in [*headers, *framing])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def answer_bytes(status_line: str, headers: Pairs, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status_line}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def json_answer(body: bytes = b"{}", *extra: tuple[str, str]) -> bytes:
    return answer_bytes("200 OK", [("content-type", "application/json"), ("content-length", str(len(body))), *extra], body)


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n" + trailers + b"\r\n"


def read_head(stream: BinaryIO) -> bytes:
    """Up to the blank line. Raises EOFError when the connection ends before."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            raise EOFError(head)
        head += line
    return head


def until(claim: Callable[[], bool], within_s: float = 60.0) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _pairs(head: bytes) -> Pairs:
    lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")[1:]
    return [(name, value.removeprefix(" ")) for name, _, value in (line.partition(":") for line in lines)]


def _body(stream: BinaryIO, got: Got) -> Iterator[bytes]:
    if got.first("transfer-encoding") == "chunked":
        while size := int(_exactly(stream.readline()), 16):
            yield _exactly(stream.read(size), size)
            stream.readline()
        _exactly(stream.readline())
    elif length := got.first("content-length"):
        yield _exactly(stream.read(int(length)), int(length))
    else:
        yield stream.read()


def _exactly(content: bytes, size: int = 1) -> bytes:
    if len(content) < size:
        raise EOFError
    return content
