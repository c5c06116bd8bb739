"""A listening port that can be shut and opened again, and the connections that came through it.

Knows listening and which connections idle; refuses to know what is served. Invariant: shut means refused: nobody gets
in, idle connections end at once, busy ones after the answer they are giving; the port stays ours and can be opened again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from gevent import socket
from gevent.server import StreamServer

from sandbox.connection import Connection
from sandbox.held_port import HOST, hold_port, port_of

BACKLOG = 4096
LOG = logging.getLogger(__name__)
Serve = Callable[[Connection], None]


class Door:
    def __init__(self, port: int, serve: Serve) -> None:
        """Takes the port at once (0: a free one) and listens."""
        self._serve = serve
        self._connections: set[Connection] = set()
        self._arrivals = 0
        self._server: StreamServer | None = None
        self._held = hold_port(port)
        self.port = port_of(self._held)
        self.open()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def open(self) -> None:
        if self._server is not None:
            return
        self._server = StreamServer((HOST, self.port), self._welcome, backlog=BACKLOG)
        self._server.start()

    def shut(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.close_idle()
        for connection in self._connections:
            connection.last_answer = True

    def close_idle(self) -> int:
        """End every connection that waits for a request; how many there were."""
        return sum(connection.close_if_idle() for connection in list(self._connections))

    def _welcome(self, sock: socket.socket, address: tuple[str, int]) -> None:
        self._arrivals += 1
        connection = Connection(sock, self._arrivals)
        self._connections.add(connection)
        try:
            self._serve(connection)
        except Exception:  # the edge of a connection: a defect of the sandbox must be seen, and must not end the server
            LOG.exception("connection %d failed", connection.number)
        finally:
            self._connections.discard(connection)
            connection.part()
