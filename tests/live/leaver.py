"""A client that hides nothing: one TCP connection, requests written as bytes, answers read as they come, left in any way.

Shared by the live tests about hang-ups, shutdown and the books. Knows HTTP/1.1 framing as far as our server speaks it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import func, select

from core.models import requests
from tests import machine

T = TypeVar("T")

QUESTION = {"model": "claude-sonnet-5-5", "max_tokens": 4096, "messages": [{"role": "user", "content": "hello"}]}
TOKENS = ("input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens")
_NO_LINGER = struct.pack("ii", 1, 0)


class Line:
    """One connection to the proxy. A context manager; `recv_bytes` keeps the kernel's receive buffer small."""

    def __init__(self, base_url: str, timeout_s: float = 60.0, recv_bytes: int = 0) -> None:
        address = urlsplit(base_url)
        self._path = address.path
        self._sock = socket.socket()
        if recv_bytes:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, recv_bytes)
        self._sock.settimeout(timeout_s)
        self._sock.connect((address.hostname or "", address.port or 80))
        self._buffer = b""
        self.status = 0
        self.headers: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def write(self, content: bytes) -> None:
        self._sock.sendall(content)

    def ask(self, *, stream: bool = True, headers: dict[str, str] | None = None, **changes: Any) -> Self:
        """Send the standard question, changed; nothing is read yet."""
        body = json.dumps({**QUESTION, "stream": stream, **changes}).encode()
        return self.post("/v1/messages", body, headers)

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Self:
        sent = {"host": "proxy", "x-api-key": "sk-ant-sandbox", "anthropic-version": "2023-06-01", **(headers or {})}
        lines = [f"POST {self._path}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
        self.write("\r\n".join(lines).encode() + body)
        return self

    def get(self, path: str) -> Self:
        """A GET of the server itself, outside every access key."""
        self.write(f"GET {path} HTTP/1.1\r\nhost: proxy\r\n\r\n".encode())
        return self

    def read_head(self) -> Self:
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(head[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        return self

    def chunks(self) -> Iterator[bytes]:
        """The body's chunks as framed. Raises ConnectionError when it ends before its end mark."""
        if "content-length" in self.headers:
            yield self._exactly(int(self.headers["content-length"]))
            return
        while size := int(self._until(b"\r\n"), 16):
            yield self._exactly(size + 2)[:-2]
        self._exactly(2)

    def body(self) -> bytes:
        return b"".join(self.chunks())

    def answer(self) -> bytes:
        """Head and whole body."""
        return self.read_head().body()

    def await_text(self, text: bytes) -> None:
        """Read until these bytes have passed."""
        self._until(text)

    def at_end(self) -> bool:
        """Whether the peer has closed; waits for it."""
        try:
            return not self._sock.recv(1)
        except ConnectionResetError:
            return True

    def leave(self, how: str) -> float:
        """Go away: `fin`, `rst`, or `half` (no more will be sent, the socket stays). Returns the unix time of it."""
        if how == "half":
            self._sock.shutdown(socket.SHUT_WR)
        else:
            if how == "rst":
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._sock.close()
        return time.time()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._fill()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _fill(self) -> None:
        received = self._sock.recv(65_536)
        if not received:
            raise ConnectionError("the answer ended before its end")
        self._buffer += received


def eventually(found: Callable[[], T], timeout_s: float = 60.0, every_s: float = 0.05) -> T:
    """The first true value; fails after `timeout_s` that the machine was not held up in. For what happens beside the test,
    instead of sleeping."""
    began = machine.now()
    while not (value := found()):
        assert machine.now().since(began) < timeout_s, f"not within {timeout_s} s; last seen: {value!r}"
        time.sleep(every_s)
    return value


def is_refused(base_url: str) -> bool:
    """Whether nobody listens there."""
    with contextlib.suppress(OSError), Line(base_url, timeout_s=2):
        return False
    return True


def rows_of(stack: Any, access_key_id: str) -> list[Any]:
    """The ledger's rows of one key, oldest first."""
    wanted = select(requests).where(requests.c.access_key_id == access_key_id).order_by(requests.c.request_id)
    return list(stack.database.read(lambda connection: connection.execute(wanted).all()))


def row_of(stack: Any, access_key_id: str) -> Any:
    """The one row of a key that asked once; waits for it."""
    rows = eventually(lambda: rows_of(stack, access_key_id))
    assert len(rows) == 1
    return rows[0]


def token_sums(stack: Any) -> dict[str, dict[str, int]]:
    """Provider -> the ledger's five sums."""
    wanted = select(requests.c.provider, *(func.sum(requests.c[name]) for name in TOKENS)).group_by(requests.c.provider)
    rows = stack.database.read(lambda connection: connection.execute(wanted).all())
    return {row[0]: dict(zip(TOKENS, map(int, row[1:]), strict=True)) for row in rows}
