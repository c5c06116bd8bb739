"""The gunicorn worker: gevent's, with the few things a byte-exact streaming proxy needs of its server.

- the raw header list reaches the app (`environ["proxy.headers"]`): the WSGI environ joins repeated fields and cannot tell
  `a_b` from `a-b`;
- `server` and `date` of the upstream are sent once, not beside gunicorn's own;
- `connection: close` from the app is obeyed, and what the client still sends is read for a moment, so that an early
  refusal is not lost in a TCP reset;
- an answer that ended short (`AnswerAborted`, or fewer bytes than announced) closes the connection instead of leaving
  the client waiting, or believing it complete; where nothing but the connection's end frames it, by a reset;
- `100 Continue` is said when the app reads the body, so that a refusal comes before the upload, not after it;
- the head and the first bytes of the body leave in one write;
- a worker that is to end serves whom the kernel has connected before it stops listening, and lets clients that wait between
  requests go after a moment (they would hold it up until it is killed); one whose master died ends in the same orderly way.
Refuses to know the product. Invariant: a connection is reused only after a whole request and a whole answer.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import Any

from gevent import GreenletExit, Timeout, get_hub, sleep, spawn
from gevent.hub import Waiter
from gevent.server import StreamServer
from gunicorn.http import errors, wsgi
from gunicorn.workers import base
from gunicorn.workers.ggevent import GeventWorker

_READ = 1
_TOO_LONG = ((errors.LimitRequestLine, 414), (errors.LimitRequestHeaders, 431))
_STATUS = (*_TOO_LONG, (errors.UnsupportedTransferCoding, 501), (errors.ExpectationFailed, 417))
_LINGER_SILENCE_S = 2.0
_LINGER_S = 30.0
_LINGER_BYTES = 32 * 1024 * 1024
_RESET = struct.pack("ii", 1, 0)
_CONNECTION_FIELDS = frozenset({"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"})
_HEAD_S = 60.0
_IDLE_GRACE_S = 2.0  # for requests on their way over connections that are open; each is answered with `connection: close`
_RETIRE_LOOK_S = 0.2


class AnswerAborted(Exception):
    """Raised by an answer's iterable: its end is missing. The connection is closed without the framing's end mark."""


class ProxyResponse(wsgi.Response):  # type: ignore[misc]
    """gunicorn's response writer; see the module's paragraph for what differs."""

    headers_sent: bool

    def __init__(self, req: Any, sock: Any, cfg: Any) -> None:
        super().__init__(req, sock, cfg)
        self._unsent_head = b""
        self.invitation: _Invitation | None = None

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """The app's list in the app's order; gunicorn takes `server` and `date` for its own and drops the upstream's."""
        super().process_headers(headers)
        self.headers = [(name, value.strip(" \t")) for name, value in headers if name.lower() not in _CONNECTION_FIELDS]
        if any(name.lower() == "connection" and value.lower() == "close" for name, value in headers):
            self.force_close()

    def default_headers(self) -> list[str]:
        lines: list[str] = super().default_headers()
        given = {name.lower() for name, _ in self.headers}
        return [line for line in lines if line.partition(":")[0].lower() not in given & {"server", "date"}]

    def send_headers(self) -> None:
        if self.headers_sent:
            return
        if self.invitation is not None and self.invitation.is_open:
            self.force_close()  # whether the client still sends the body it announced, nobody knows
        lines = self.default_headers()
        lines.extend(f"{name}: {value}\r\n" for name, value in self.headers)
        self._unsent_head = ("".join(lines) + "\r\n").encode("latin-1")
        self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        head, self._unsent_head = self._unsent_head, b""
        framed = b"%b%X\r\n%b\r\n" % (head, len(data), data) if self.chunked else head + data
        _write(self.sock, framed)

    def close(self) -> None:
        self.send_headers()
        rest = self._unsent_head + (b"0\r\n\r\n" if self.chunked else b"")
        self._unsent_head = b""
        if rest:
            _write(self.sock, rest)

    @property
    def ends_visibly(self) -> bool:
        """A client that sees the connection close can tell a whole answer from a part of one."""
        return self.chunked or self.response_length is not None or not self.headers_sent

    @property
    def is_short(self) -> bool:
        """Fewer bytes were written than announced."""
        return self.response_length is not None and not self._omits_body and self.sent < self.response_length


class _Invitation:
    """The reader of a body whose sender waits for `100 Continue`."""

    def __init__(self, reader: Any, sock: Any) -> None:
        self._reader = reader
        self._sock = sock
        self.is_open = True

    def read(self, size: int) -> bytes:
        if self.is_open:
            self.is_open = False
            _write(self._sock, b"HTTP/1.1 100 Continue\r\n\r\n")
        received: bytes = self._reader.read(size)
        return received


class _Listener(StreamServer):  # type: ignore[misc]
    def close(self) -> None:
        """Whoever waits to be accepted may have sent a request, which the kernel would answer with a reset."""
        with suppress(OSError):
            while self.started and not self.full() and (client := self.do_read()):
                self.do_handle(*client)
        super().close()


class ProxyWorker(GeventWorker):  # type: ignore[misc]
    """`worker_class` of gunicorn.conf.py."""

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle: dict[Any, None] = {}
        self._quits = False

    def server_class(self, listener: Any, *, spawn: Any, **_: Any) -> _Listener:
        server = _Listener(listener, handle=self.handle, spawn=spawn)
        server.max_accept = 1 if self.cfg.workers > 1 else server.max_accept  # as gunicorn has it
        return server

    def run(self) -> None:
        spawn(self._end_idle_connections)
        super().run()

    def notify(self) -> None:
        """gunicorn's would end the process at once when the master has died, in the middle of every answer."""
        base.Worker.notify(self)
        if self.ppid != os.getppid() and self.alive:
            self.log.warning("the master has gone; this worker ends")
            self.alive = False

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Ctrl-C comes twice, from the terminal and from the master: the second would break the last acts of the first off."""
        if not self._quits:
            self._quits = True
            super().handle_quit(sig, frame)

    def timeout_ctx(self) -> Timeout:
        """For reading a request's head. gunicorn allows as much for that as for an idle connection: minutes."""
        return Timeout(_HEAD_S, False)

    def handle(self, client: Any, addr: Any) -> None:
        if self._next_request_comes(client):
            super().handle(client, client, addr)  # asked for its own address only: the listener may be closed by now
        else:
            client.close()

    def handle_error(self, _req: Any, client: Any, _addr: Any, exc: BaseException) -> None:
        """gunicorn would repeat what was sent, to the client and in its log: a key, or behind a wrong length a prompt.

        Nothing is said by a greenlet that is being killed: it may be in the middle of an answer, or between two.
        """
        if isinstance(exc, GreenletExit | SystemExit):
            return
        status = _status_of(exc)
        if status == 500:
            self.log.exception("a connection failed")
        line, headers, body = self.wsgi.unreadable(status, type(exc).__name__)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        with suppress(OSError):
            _write(client, f"HTTP/1.1 {line}\r\n{head}\r\n".encode("latin-1") + body)
            _linger(client)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        resp, environ = self._begun(listener_name, req, sock, addr)
        self.nr += 1
        if not self.alive or not self.cfg.keepalive:
            resp.force_close()
        try:
            self._answer(resp, environ)
        except AnswerAborted:
            if not resp.ends_visibly:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            raise StopIteration from None
        except OSError:
            raise
        except Exception:
            if resp.headers_sent:
                self.log.exception("Error while answering")
                raise StopIteration from None
            raise
        if resp.should_close() or resp.is_short:
            _linger(sock)
            raise StopIteration
        if not (_has_buffered(req) or self._next_request_comes(sock)):
            raise StopIteration
        return True

    def _begun(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> tuple[ProxyResponse, dict[str, Any]]:
        expects, req._expected_100_continue = req._expected_100_continue, False
        resp, environ = wsgi.create(req, sock, addr, listener_name, self.cfg, response_class=ProxyResponse)
        environ["wsgi.multithread"] = True
        environ["proxy.headers"] = req.headers
        if expects:
            req.body.reader = resp.invitation = _Invitation(req.body.reader, sock)
        return resp, environ

    def _answer(self, resp: ProxyResponse, environ: dict[str, Any]) -> None:
        chunks = self.wsgi(environ, resp.start_response)
        try:
            for chunk in chunks:
                resp.write(chunk)
            resp.close()
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    def _next_request_comes(self, sock: Any) -> bool:
        """Wait for the next request's first byte (or the client's end); False when the wait is given up."""
        waiter, loop = Waiter(), get_hub().loop
        readable, too_long = loop.io(sock.fileno(), _READ), loop.timer(self.cfg.keepalive or _LINGER_S)
        self._idle[waiter] = None
        readable.start(waiter.switch, True)
        too_long.start(waiter.switch, False)
        try:
            return bool(waiter.get())
        finally:
            del self._idle[waiter]
            for watcher in (readable, too_long):
                watcher.stop()
                watcher.close()

    def _end_idle_connections(self) -> None:
        """Once this worker is to end. A client may be sending its next request at this moment, so for a while it is still
        answered (and told that the connection closes), which spares it a reset."""
        while self.alive:
            sleep(_RETIRE_LOOK_S)
        sleep(_IDLE_GRACE_S)
        while True:
            for waiter in list(self._idle):
                get_hub().loop.run_callback(waiter.switch, False)
            sleep(_RETIRE_LOOK_S)


def shut_down(sock: Any, how: int) -> None:
    """`shutdown` of a socket that another greenlet waits on, which then finds it at its end (or broken, if it writes).

    gevent's own would raise EBADF there instead. Safe from a hub callback.
    """
    with suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as same:
        same.shutdown(how)


def _status_of(error: BaseException) -> int:
    """As gunicorn has it. What is not about the request's own form is our failure."""
    if not isinstance(error, errors.ParseException):
        return 500
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)


def _has_buffered(req: Any) -> bool:
    """The next request's first bytes came together with this one's last (pipelining)."""
    return bool(req.unreader.buf.getbuffer().nbytes)


def _write(sock: Any, content: bytes) -> None:
    """gevent's `sendall` asks the kernel for the buffer's size on every call; one `send` mostly takes all there is."""
    sent = sock.send(content)
    if sent < len(content):
        sock.sendall(memoryview(content)[sent:])


def _linger(sock: Any) -> None:
    """Say that we are done, then read what the client still sends: closing on unread bytes would reset the connection
    and may destroy the answer on its way."""
    try:
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(_LINGER_SILENCE_S)
        with Timeout(_LINGER_S, False):
            left = _LINGER_BYTES
            while left > 0 and (received := sock.recv(65_536)):
                left -= len(received)
    except OSError:  # a silence of `_LINGER_SILENCE_S` is one too
        return
