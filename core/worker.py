"""The gunicorn worker: gevent's, with the few things a byte-exact streaming proxy needs of its server.

- the raw header list reaches the app (`environ["proxy.headers"]`): the WSGI environ joins repeated fields and cannot tell
  `a_b` from `a-b`;
- `server` and `date` of the upstream are sent once, not beside gunicorn's own;
- `connection: close` from the app is obeyed, and what the client still sends is read for a moment, so that an early
  refusal is not lost in a TCP reset;
- an answer that ended short (`AnswerAborted`, or fewer bytes than announced) closes the connection instead of leaving
  the client waiting, or believing it complete;
- the head and the first bytes of the body leave in one write.
Refuses to know the product. Invariant: a connection is reused only after a whole request and a whole answer.
"""

from __future__ import annotations

import socket
from typing import Any

from gevent import Timeout
from gunicorn.http import wsgi
from gunicorn.workers.ggevent import GeventWorker

_LINGER_S = 2.0
_LINGER_BYTES = 32 * 1024 * 1024


class AnswerAborted(Exception):
    """Raised by an answer's iterable: its end is missing. The connection is closed without the framing's end mark."""


class ProxyResponse(wsgi.Response):  # type: ignore[misc]
    """gunicorn's response writer; see the module's paragraph for what differs."""

    headers_sent: bool

    def __init__(self, req: Any, sock: Any, cfg: Any) -> None:
        super().__init__(req, sock, cfg)
        self._unsent_head = b""

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """gunicorn takes `server` and `date` for its own and drops the upstream's."""
        super().process_headers(headers)
        self.headers.extend((name, value) for name, value in headers if name.lower() in ("server", "date"))
        if any(name.lower() == "connection" and value.lower() == "close" for name, value in headers):
            self.force_close()

    def default_headers(self) -> list[str]:
        lines: list[str] = super().default_headers()
        given = {name.lower() for name, _ in self.headers}
        return [line for line in lines if line.partition(":")[0].lower() not in given & {"server", "date"}]

    def send_headers(self) -> None:
        if self.headers_sent:
            return
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
    def is_short(self) -> bool:
        """Fewer bytes were written than announced."""
        return self.response_length is not None and not self._omits_body and self.sent < self.response_length


class ProxyWorker(GeventWorker):  # type: ignore[misc]
    """`worker_class` of gunicorn.conf.py."""

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        resp, environ = wsgi.create(req, sock, addr, listener_name, self.cfg, response_class=ProxyResponse)
        environ["wsgi.multithread"] = True
        environ["proxy.headers"] = req.headers
        self.nr += 1
        if not self.alive or not self.cfg.keepalive:
            resp.force_close()
        try:
            self._answer(resp, environ)
        except AnswerAborted:
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
        return True

    def _answer(self, resp: ProxyResponse, environ: dict[str, Any]) -> None:
        chunks = self.wsgi(environ, resp.start_response)
        try:
            for chunk in chunks:
                resp.write(chunk)
            resp.close()
        finally:
            if hasattr(chunks, "close"):
                chunks.close()


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
        with Timeout(_LINGER_S, False):
            left = _LINGER_BYTES
            while left > 0 and (received := sock.recv(65_536)):
                left -= len(received)
    except OSError:
        return
