"""Notices within a second that a client has gone, or that the worker drains, and severs the upstream connection in use.

gunicorn sees nothing while the upstream is silent, and while relaying only at the second write after the hang-up: tokens
would keep burning. So each request watches its client's socket with one libev watcher. Refuses to know HTTP.
Invariant: a cut never raises into the request's greenlet; it severs the upstream connection, whose wait then ends, and shuts
a client's socket that nobody reads any more, so that a write that waits for it ends too.
"""

from __future__ import annotations

import select
import socket
from typing import Any

from gevent import get_hub
from gevent.event import Event
from gevent.monkey import get_original

from core.worker import shut_down
from proxy_app.call import Severable

_READ = 1
_LOOK_S = 0.25
_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class LiveCalls:
    """Every request in flight in this worker; `drain()` cuts them all, and every one that comes later."""

    def __init__(self) -> None:
        self._lines: dict[ClientLine, None] = {}
        self._draining = False

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: ClientLine) -> None:
        self._lines[line] = None
        if self._draining:
            line.cut(draining=True)

    def remove(self, line: ClientLine) -> None:
        self._lines.pop(line, None)

    def drain(self) -> int:
        """Ask every request to end now with a well-formed error. Returns how many there were."""
        self._draining = True
        lines = list(self._lines)
        for line in lines:
            line.cut(draining=True)
        return len(lines)

    def abandon(self) -> int:
        """End what did not end by itself: clients that do not read. Returns how many there were."""
        lines = list(self._lines)
        for line in lines:
            line.abandon()
        return len(lines)


class ClientLine:
    """The `Lifeline` of one request, from before its body is read. `close()` it at the end, or the watcher leaks."""

    __slots__ = ("_client", "_held", "_live", "_pausing", "_watcher", "draining", "gone")

    def __init__(self, client: socket.socket | None, live: LiveCalls) -> None:
        self.gone = False
        self.draining = False
        self._client = client
        self._held: Severable | None = None
        self._live = live
        self._pausing: Event | None = None
        self._watcher: Any = None
        live.add(self)

    def watch(self) -> None:
        """From now on, with the whole request read, notice that the client goes."""
        if self._client is not None and self._client.fileno() >= 0:
            self._watcher = get_hub().loop.io(self._client.fileno(), _READ)
            self._watcher.start(self._readable, self._client.fileno())

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

    def abandon(self) -> None:
        """Say no more to this client: a write that waits for it to read ends now."""
        if self._client is not None:
            shut_down(self._client, socket.SHUT_RDWR)

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
        """Runs in the hub. Mostly the end; else the next request, which waits for its turn, and would wake the watcher for
        ever: from then on the socket is looked at now and then."""
        self._stop_watching()
        self._watcher = get_hub().loop.timer(_LOOK_S, _LOOK_S)
        self._watcher.start(self._look, fd)
        self._look(fd)

    def _look(self, fd: int) -> None:
        if _has_hung_up(fd):
            self._stop_watching()
            self.cut(draining=False)
            self.abandon()


def _has_hung_up(fd: int) -> bool:
    """Closed, reset or half-closed by the client, whether or not bytes wait to be read before that."""
    poll = get_original("select", "poll")()  # gevent's own must not be called in the hub
    poll.register(fd, _HUNG_UP)
    return bool(poll.poll(0))
