"""Notices within a second that a client has gone, or that the worker drains, and severs the upstream connection in use.

gunicorn sees nothing while the upstream is silent, and while relaying only at the second write after the hang-up: tokens
would keep burning. So each request watches its client's socket with one libev watcher. Refuses to know HTTP.
Invariant: a cut never raises into the request's greenlet; it severs the upstream connection, whose wait then ends.
"""

from __future__ import annotations

import array
import fcntl
import socket
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gevent import Timeout, get_hub
from gevent.event import Event

from proxy_app.call import Severable

_READ = 1


class LiveCalls:
    """Every request in flight in this worker; `drain()` cuts them all."""

    def __init__(self) -> None:
        self._lines: dict[ClientLine, None] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: ClientLine) -> None:
        self._lines[line] = None

    def remove(self, line: ClientLine) -> None:
        self._lines.pop(line, None)

    def drain(self) -> int:
        """Ask every request to end now with a well-formed error. Returns how many there were."""
        lines = list(self._lines)
        for line in lines:
            line.cut(draining=True)
        return len(lines)


class ClientLine:
    """The `Lifeline` of one request. `close()` it when the request is over, or the watcher leaks."""

    __slots__ = ("_held", "_live", "_pausing", "_watcher", "draining", "gone")

    def __init__(self, client: socket.socket | None, live: LiveCalls) -> None:
        self.gone = False
        self.draining = False
        self._held: Severable | None = None
        self._live = live
        self._pausing: Event | None = None
        self._watcher: Any = None
        live.add(self)
        if client is not None and client.fileno() >= 0:
            self._watcher = get_hub().loop.io(client.fileno(), _READ)
            self._watcher.start(self._readable, client.fileno())

    def hold(self, connection: Severable) -> None:
        self._held = connection
        if self.gone or self.draining:
            connection.sever()

    def release(self) -> None:
        self._held = None

    def pause(self, seconds: float) -> None:
        """Sleep, but wake at once when the line is cut."""
        self._pausing = Event()
        if not (self.gone or self.draining):
            self._pausing.wait(seconds)
        self._pausing = None

    def cut(self, *, draining: bool) -> None:
        if draining:
            self.draining = True
        else:
            self.gone = True
        if self._held is not None:
            self._held.sever()
        if self._pausing is not None:
            self._pausing.set()

    def close(self) -> None:
        """Idempotent."""
        self._live.remove(self)
        self._stop_watching()

    def _stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None

    def _readable(self, fd: int) -> None:
        """Runs in the hub. Readable without bytes is the end (a half-close counts as gone); bytes are pipelining."""
        self._stop_watching()
        if _bytes_waiting(fd) == 0:
            self.cut(draining=False)


def _bytes_waiting(fd: int) -> int:
    """Bytes the kernel holds for reading. A connection that was reset or closed has none, and is readable all the same."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, count)
    except OSError:
        return 0
    return count[0]


class TookTooLong(Exception):
    """A block under `time_limit` did not end in time."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TookTooLong inside the block after `seconds`, at its next wait."""
    with Timeout(seconds, TookTooLong()):
        yield
