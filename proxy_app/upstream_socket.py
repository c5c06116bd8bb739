"""A connection to an upstream that costs little to wait on, has a deadline, and can be severed from outside.

Sits on whatever connected socket it is given (plain or TLS) and uses it without blocking, waiting on gevent's event loop
with one watcher per direction for the connection's life: no Timeout object, no failed `recv` before each wait, which is a
third of the CPU of a relayed event (docs/performance.md). Refuses to know HTTP.
Invariant: a wait ends by data, by its deadline (`Expired`) or by `sever()` (`Severed`), whichever comes first; an
exception is only ever raised into a wait of this class, never into code that keeps books.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable
from typing import Any

from gevent import get_hub, sleep, spawn
from gevent.hub import Waiter
from gevent.monkey import get_original

_READ, _WRITE = 1, 2
_RECV_BYTES = 65_536
_SEND_BYTES = 262_144  # less than a millisecond of copying; ten megabytes in one go would hold every stream up
_WANTS_READ = (BlockingIOError, ssl.SSLWantReadError)
_WANTS_WRITE = (BlockingIOError, ssl.SSLWantWriteError)


_Poll: Any = get_original("select", "poll")  # gevent's own costs a trip through the hub; asked with 0 s, this one never waits


class Expired(Exception):
    """The deadline passed while waiting."""


class Severed(Exception):
    """Somebody called `sever()`: the client has gone, or the worker is draining."""


class Deadlines:
    """The watchdog of one process: looks at every waiting socket `resolution_s` apart and expires what is overdue."""

    def __init__(self, clock: Callable[[], float], resolution_s: float = 0.05) -> None:
        self._clock = clock
        self._resolution_s = resolution_s
        self._waiting: dict[UpstreamSocket, None] = {}
        self._running = False

    def __len__(self) -> int:
        return len(self._waiting)

    def watch(self, waiting: UpstreamSocket) -> None:
        self._waiting[waiting] = None
        if not self._running:
            self._running = True
            spawn(self._run)

    def forget(self, waiting: UpstreamSocket) -> None:
        self._waiting.pop(waiting, None)

    def _run(self) -> None:
        """Ends itself when nothing waits, so that an idle worker wakes for nothing."""
        while self._waiting:
            sleep(self._resolution_s)
            now = self._clock()
            for waiting in [each for each in self._waiting if each.deadline <= now]:
                waiting.expire()
        self._running = False


class UpstreamSocket:
    """`sock` is connected; from here on it belongs to this object. Not safe for two readers."""

    __slots__ = ("_deadlines", "_drained", "_hub", "_reader", "_sock", "_tls", "_waiter", "_writer", "deadline", "severed")

    def __init__(self, sock: socket.socket, deadlines: Deadlines) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._hub = get_hub()
        self._reader: Any = self._hub.loop.io(sock.fileno(), _READ)
        self._writer: Any = None
        self._waiter: Any = None
        self.severed = False
        self._deadlines = deadlines
        self._drained = True
        self.deadline = float("inf")

    def receive(self, deadline: float) -> bytes:
        """The next bytes, as many as are there; b"" at the peer's end.

        Raises Expired at `deadline` (monotonic seconds), Severed, or OSError from the socket.
        """
        if self._drained and not self._tls:
            self._wait(self._reader, deadline)
        while True:
            if self.severed:
                raise Severed
            try:
                received = self._sock.recv(_RECV_BYTES)
            except _WANTS_READ:
                self._wait(self._reader, deadline)
            except ssl.SSLWantWriteError:
                self._wait(self._write_watcher(), deadline)
            else:
                self._drained = len(received) < _RECV_BYTES
                return received

    def send(self, content: bytes, deadline: float) -> None:
        """Hand all of `content` to the kernel, a piece for each round of the event loop. Raises as `receive`."""
        rest = memoryview(content)
        while rest:
            if self.severed:
                raise Severed
            try:
                sent = self._sock.send(rest[:_SEND_BYTES])
            except _WANTS_WRITE:
                sent = 0
            except ssl.SSLWantReadError:
                self._wait(self._reader, deadline)
                continue
            rest = rest[sent:]
            if rest:  # also when the kernel would take more: a peer that reads as fast as we write would let nobody else in
                self._wait(self._write_watcher(), deadline)

    def is_silent(self) -> bool:
        """Nothing waits to be read, not even an end. On a connection between two exchanges anything else means that it is
        of no use: closed, or about to be (an unasked 408 would be taken for the next request's answer)."""
        poll = _Poll()
        poll.register(self._sock.fileno(), select.POLLIN)
        return not poll.poll(0)

    def sever(self) -> None:
        """End the wait under way, and every later one. Safe from a hub callback and from any greenlet."""
        if not self.severed:
            self.severed = True
            self._interrupt(Severed())

    def expire(self) -> None:
        """End the wait under way, and only that: the socket stays usable (a ping may be due, no more)."""
        self._interrupt(Expired())

    def close(self) -> None:
        """Idempotent."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()
        self._sock.close()

    def _interrupt(self, why: Exception) -> None:
        if self._waiter is not None:
            self._hub.loop.run_callback(self._throw, self._waiter, why)

    def _throw(self, waiter: Any, why: Exception) -> None:
        if self._waiter is waiter:
            self._waiter = None
            waiter.throw(why)

    def _write_watcher(self) -> Any:
        if self._writer is None:
            self._writer = self._hub.loop.io(self._sock.fileno(), _WRITE)
        return self._writer

    def _wait(self, watcher: Any, deadline: float) -> None:
        if self.severed:
            raise Severed
        waiter = Waiter(self._hub)
        self._waiter = waiter
        self.deadline = deadline
        self._deadlines.watch(self)
        watcher.start(waiter.switch, None)
        try:
            waiter.get()
        finally:
            watcher.stop()
            self._waiter = None
            self._deadlines.forget(self)
