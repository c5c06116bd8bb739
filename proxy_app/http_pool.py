"""Pooled HTTP/1.1 to the upstreams: one pool a worker, both providers.

urllib3 makes the connection (addresses, TLS, certificates); what then goes over it is `upstream_http`'s, straight over the
socket: the layers that are left out cost more than half of a request's CPU (docs/decisions/0003-upstream-http.md).
Retries nothing but a stale connection. Invariant: a connection goes back to the pool only after an answer that was read to
its end, and is used by one call at a time.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  # as the next but one: what the first name to be looked up would import, in a request
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import certifi
import gevent.resolver.thread  # noqa: F401
from gevent import Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from proxy_app.call import Lifeline
from proxy_app.upstream_http import AnswerParser, ConnectFailed, NoAnswer, NotHttp, Origin, UpstreamAnswer, UpstreamRequest
from proxy_app.upstream_socket import Deadlines, Expired, UpstreamSocket

_IDLE_S = 240.0  # below the 350 s after which NAT gateways and load balancers forget a flow


@dataclass(slots=True)
class _Connection:
    """See `proxy_app.upstream_http.Connection`."""

    pool: HttpPool
    origin: Origin
    socket: UpstreamSocket
    idle_since: float = 0.0
    lifeline: Lifeline | None = None

    def tie(self, lifeline: Lifeline | None) -> None:
        self.lifeline = lifeline
        if lifeline is not None:
            lifeline.hold(self.socket)

    def untie(self) -> None:
        if self.lifeline is not None:
            self.lifeline.release()
            self.lifeline = None

    def give_back(self) -> None:
        self.untie()
        self.pool.put(self)

    def drop(self) -> None:
        self.untie()
        self.socket.close()


class HttpPool:
    """Built after the fork, one a worker. Never blocks for a free connection: it opens another one."""

    def __init__(self, connect_timeout_s: float, clock: Callable[[], float], ssl_context: ssl.SSLContext | None = None) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._clock = clock
        self._ssl_context = ssl_context
        self._deadlines = Deadlines(clock)
        self._idle: dict[Origin, list[_Connection]] = {}

    def prepared(self) -> HttpPool:
        """This pool, with what its first connection would hold the event loop for."""
        self._context()
        return self

    def send(self, request: UpstreamRequest, lifeline: Lifeline | None, deadline: float) -> UpstreamAnswer:
        """Send the request and return when the answer's head is here.

        Raises ConnectFailed, NoAnswer, Expired (no head by `deadline`, monotonic seconds) or Severed. A connection from the
        pool that turns out to be dead before the first byte of an answer is replaced by a fresh one, once.
        """
        connection = self._take(request.origin)
        if connection is not None:
            try:
                return self._exchange(connection, request, lifeline, deadline)
            except NoAnswer as stale:
                if not stale.silent:
                    raise
        return self._exchange(self._connect(request.origin, deadline), request, lifeline, deadline)

    def put(self, connection: _Connection) -> None:
        if connection.socket.severed:  # a hang-up that came with the last byte
            connection.socket.close()
            return
        connection.idle_since = self._clock()
        self._idle.setdefault(connection.origin, []).append(connection)

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.drop()
        self._idle.clear()

    def _take(self, origin: Origin) -> _Connection | None:
        """The connection used last (so that surplus ones age out), if it has not idled too long and is still open."""
        idle = self._idle.get(origin, [])
        oldest_useful = self._clock() - _IDLE_S
        while idle and idle[0].idle_since < oldest_useful:
            idle.pop(0).drop()
        while idle:
            connection = idle.pop()
            if connection.socket.is_silent():
                return connection
            connection.drop()
        return None

    def _exchange(
        self, connection: _Connection, request: UpstreamRequest, lifeline: Lifeline | None, deadline: float
    ) -> UpstreamAnswer:
        parser = AnswerParser()
        try:
            connection.tie(lifeline)
            whole = _send(connection.socket, request, deadline)
            _receive_head(connection.socket, parser, deadline)
        except BaseException:
            connection.drop()
            raise
        parser.reusable = parser.reusable and whole
        return UpstreamAnswer(connection, parser)

    def _connect(self, origin: Origin, deadline: float) -> _Connection:
        limit = min(self._connect_timeout_s, deadline - self._clock())
        if limit <= 0:
            raise Expired
        opening = self._opening(origin, limit)
        try:
            with Timeout(limit, ConnectFailed("not connected in time")):
                opening.connect()
        except ConnectFailed:
            opening.close()
            raise
        except (HTTPError, OSError) as error:
            opening.close()
            raise ConnectFailed(type(error).__name__) from error
        return _Connection(self, origin, UpstreamSocket(_adopt(opening), self._deadlines))

    def _opening(self, origin: Origin, limit_s: float) -> HTTPConnection:
        options = [*HTTPConnection.default_socket_options, *_keepalive_options()]
        if origin.scheme == "http":
            return HTTPConnection(origin.host, origin.port, timeout=limit_s, socket_options=options)
        return HTTPSConnection(origin.host, origin.port, timeout=limit_s, socket_options=options, ssl_context=self._context())

    def _context(self) -> ssl.SSLContext:
        """One context a process: building one costs 25 ms."""
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context(cafile=certifi.where())
            self._ssl_context.minimum_version = ssl.TLSVersion.TLSv1_2
        return self._ssl_context


def _send(sock: UpstreamSocket, request: UpstreamRequest, deadline: float) -> bool:
    """False when the upstream would not take all of it. It may have answered before it closed (a 413, an overload), and
    what it said then is still there to be read."""
    try:
        sock.send(request.head() + request.body, deadline)
    except OSError:
        return False
    return True


def _receive_head(sock: UpstreamSocket, parser: AnswerParser, deadline: float) -> None:
    silent = True
    while not parser.headers_complete:
        try:
            received = sock.receive(deadline)
        except OSError as error:
            raise NoAnswer(type(error).__name__, silent=silent) from error
        if not received:
            raise NoAnswer("the connection ended before an answer", silent=silent)
        silent = False
        try:
            parser.feed(received)
        except NotHttp as error:
            raise NoAnswer(str(error), silent=False) from error


def _adopt(opened: HTTPConnection) -> socket.socket:
    """Take the socket out of urllib3's connection, which would close it when collected."""
    sock = opened.sock
    if sock is None:
        raise ConnectFailed("no socket")
    opened.sock = None
    return sock


def _keepalive_options() -> list[tuple[int, int, int]]:
    """Idle flows through NAT gateways are forgotten after 350 s; probe well before. What was sent and not even acknowledged
    for 30 s went to a flow that is forgotten: better a fresh connection than the kernel's quarter of an hour."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    tcp_options = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 30_000))
    for name, value in tcp_options:
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
