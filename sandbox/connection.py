"""One client connection: requests in, steps out. The only file that touches a client's socket.

Knows how to notice a client that left, also in silence, and how to end a connection in each of its ways; refuses to
know what is said on it. Invariant: whatever happens, `delivery` tells what the client can have received so far.
"""

from __future__ import annotations

import socket as native
import struct
from dataclasses import dataclass

import gevent
from gevent import socket

from sandbox.http import MAX_HEAD_BYTES, BadRequest, Request, parse_head, read_body, request_of
from sandbox.script import Part, Pause, Script, Send, Tokens

REQUEST_TIMEOUT_S = 120.0
READ_BYTES = 65_536
NO_LINGER = struct.pack("ii", 1, 0)


class ClientGone(Exception):
    """The client closed or reset the connection."""


@dataclass(slots=True)
class Delivery:
    """How far an answer came."""

    known: Tokens | None = None
    complete: bool = False
    parted: bool = False


class Connection:
    def __init__(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(native.IPPROTO_TCP, native.TCP_NODELAY, 1)
        self._sock = sock
        self._buffer = bytearray()
        self._open = True
        self.number = number
        self.idle = True
        self.last_answer = False

    def receive(self, idle_s: float | None) -> Request | None:
        """The next request, or None when the client closed or the connection stayed idle for `idle_s`."""
        self.idle = True
        if not self._buffer and not self._await_first_byte(idle_s):
            return None
        self.idle = False
        self._sock.settimeout(REQUEST_TIMEOUT_S)
        head = parse_head(self.read_until(b"\r\n\r\n", MAX_HEAD_BYTES))
        if head.fields.get("expect", "").lower() == "100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return request_of(head, read_body(head, self))

    def play(self, script: Script, delivery: Delivery) -> None:
        """Carry the steps out. Raises ClientGone; `delivery` is right all the same."""
        for step in script:
            if isinstance(step, Send):
                self._write(step.content)
                delivery.known = step.known or delivery.known
                delivery.complete = delivery.complete or step.complete
            elif isinstance(step, Pause):
                self.pause(step.seconds)
            else:
                delivery.parted = True
                self.part(step)
                return

    def pause(self, seconds: float) -> None:
        """Say nothing for so long. A client that leaves meanwhile is noticed at once."""
        if seconds <= 0:
            gevent.sleep(0)
            return
        try:
            socket.wait_read(self._sock.fileno(), timeout=seconds, timeout_exc=TimeoutError())
            if not self._sock.recv(1, native.MSG_PEEK):
                raise ClientGone
        except TimeoutError:
            return
        except OSError as error:
            raise ClientGone from error
        gevent.sleep(seconds)  # a pipelined request: its sender is here, so the rest of the silence needs no watch

    def part(self, how: Part | None = None) -> None:
        """Close for good; more than once is harmless."""
        if not self._open:
            return
        self._open = False
        try:
            if how is not None and how.how == "rst":
                self._sock.setsockopt(native.SOL_SOCKET, native.SO_LINGER, NO_LINGER)
            else:
                self._sock.shutdown(native.SHUT_RDWR)
        except OSError:
            pass  # the peer was faster
        finally:
            self._sock.close()

    def close_if_idle(self) -> bool:
        """Silently end a connection that waits for a request; its own greenlet then sees the end of file."""
        if not (self.idle and self._open):
            return False
        try:
            self._sock.shutdown(native.SHUT_RDWR)
        except OSError:
            return False
        return True

    def read_until(self, mark: bytes, limit: int) -> bytes:
        start = 0
        while (found := self._buffer.find(mark, start)) < 0:
            start = max(0, len(self._buffer) - len(mark) + 1)
            if len(self._buffer) > limit:
                raise BadRequest("line or head too long")
            self._fill()
        return self._take(found + len(mark))

    def read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self) -> None:
        try:
            received = self._sock.recv(READ_BYTES)
        except OSError as error:
            raise ClientGone from error
        if not received:
            raise ClientGone
        self._buffer += received

    def _await_first_byte(self, idle_s: float | None) -> bool:
        self._sock.settimeout(idle_s)
        try:
            self._fill()
        except ClientGone:
            return False
        return True

    def _write(self, content: bytes) -> None:
        try:
            sent = self._sock.send(content) if content else 0
            if sent < len(content):
                self._sock.sendall(content[sent:])
        except OSError as error:
            raise ClientGone from error
