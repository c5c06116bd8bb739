"""What `doctor` stands before in its tests: an upstream that answers, a terminal, what it found."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.admin_app.test_cli import NOW, Finished, Terminal
from tests.installations import with_tables


class Upstream(BaseHTTPRequestHandler):
    """Answers as its server says, by the tests' clock, and keeps what it was sent."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        server: Any = self.server
        return format_datetime(server.clock, usegmt=True)

    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append((self.path, dict(self.headers)))
        self.send_response(server.statuses.get(self.path, 404))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Any]:
    """An upstream, with `https` by this context."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.seen, server.statuses, server.clock = [], {"/health": 200, "/statusline": 200}, NOW
    server.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # a client that does not trust the certificate hangs up
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def upstream() -> Iterator[Any]:
    with serving() as server:
        yield server


@pytest.fixture
def terminal(tmp_path: Path, upstream: Any, sqlite_template: Path) -> Terminal:
    made = Terminal(tmp_path / "var")
    made.environ |= {"PROXY_PLAN_URL": upstream.url, "PROXY_BEDROCK_URL": upstream.url}
    with_tables(made.settings, sqlite_template)
    return made


def healths(finished: Finished) -> dict[str, str]:
    """check -> the worst that was found of it."""
    order = ("well", "warning", "problem")
    found: dict[str, str] = {}
    for each in finished.document["findings"]:
        found[each["check"]] = max(found.get(each["check"], "well"), each["health"], key=order.index)
    return found


def ill(finished: Finished) -> set[tuple[str, str]]:
    return {(check, health) for check, health in healths(finished).items() if health != "well"}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Nobody listens there, and nobody else gets it meanwhile."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield int(kept.getsockname()[1])
