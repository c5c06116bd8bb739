"""The proxy's app with a directory, books and an upstream that answers as told: what its tests begin with."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.types import Grant, ProviderName, Strategy, Usage
from proxy_app.app import ProxyApp
from proxy_app.call import BytesBody, Call, Endpoint, Outcome, Reply
from proxy_app.directory import Unknown
from proxy_app.faults import Fault
from proxy_app.gateway import Opened
from proxy_app.hangup import LiveCalls
from proxy_app.inbound import Arrival, Inbound, Reading
from proxy_app.own_page import Shown
from proxy_app.rate_limit import RateLimits
from proxy_app.readiness import Readiness
from proxy_app.resources import Proxied, Ready

KEY = "ak_" + "x" * 44
BODY = b'{"model":"m"}'


class Directory:
    limit: int | None = None

    def grant_of(self, access_key: str) -> Grant:
        if access_key == "crash":
            raise RuntimeError("nobody foresaw this")
        if access_key != KEY:
            raise Unknown
        return Grant("usr_1", "key_1", Strategy.PLAN_FIRST, (), self.limit)


def view(arrival: Arrival, grant: Grant) -> Shown:
    return Shown(200, "text/plain", f"{grant.access_key_id} {arrival.target}".encode(), (("cache-control", "no-store"),))


class Seen:
    def note(self, *_: Any) -> None:
        return None


class Books:
    """What the recorder was told."""

    def __init__(self) -> None:
        self.finished: list[tuple[Call, Outcome]] = []
        self.turned_away: list[tuple[str, int, str, str]] = []
        self.looks: list[tuple[str, str, int, str]] = []

    def begin(self, call: Call, outcome: Outcome, usage: Usage) -> None: ...

    def finish(self, call: Call, outcome: Outcome) -> None:
        self.finished.append((call, outcome))

    def looked(self, request_id: str, endpoint: str, status: int, key_shown: str) -> None:
        self.looks.append((request_id, endpoint, status, key_shown))

    def refuse(self, request_id: str, status: int, error_type: str, reason: str = "") -> None:
        self.turned_away.append((request_id, status, error_type, reason))


@dataclass
class Answered:
    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name]
        assert len(found) < 2, self.headers
        return found[0] if found else None

    @property
    def error(self) -> tuple[str, str]:
        said = json.loads(self.body)
        assert said["request_id"] == self.header("request-id") == self.header("x-proxy-request-id")
        assert said["error"]["message"].startswith("claude-code-proxy: ")
        return self.status[:3], said["error"]["type"]


class Proxy:
    """The app with real parts down to the gateway, in whose place `opener` stands."""

    def __init__(self) -> None:
        self.books: Any = Books()
        self.live = LiveCalls()
        self.asked: list[Call] = []
        self.reply = Reply(200, (("Content-Type", "application/json"),), BytesBody(b"{}"), ProviderName.PLAN)
        self.fallback: Fault | None = None
        self.error: BaseException | None = None
        ids = (f"req_{number:026}" for number in range(1, 1000))
        self.directory: Any = Directory()
        seen: Any = Seen()
        clocks = (lambda: 1.0, lambda: 1_800_000_000.0)
        inbound = Inbound(self.directory, self.live, Reading(100_000, 60.0, 240.0), lambda _: next(ids), clocks, seen)
        self.readiness = Readiness(lambda: None)
        openers = dict.fromkeys(Endpoint, self._open)
        proxied = Proxied(inbound, openers, self.books, clocks[0], RateLimits(clocks[0]), {"/status": view})
        self.app = ProxyApp(proxied, Ready(self.readiness), lambda: next(ids))

    def _open(self, call: Call) -> Opened:
        self.asked.append(call)
        if self.error is not None:
            raise self.error
        return Opened(self.reply, Outcome(provider=self.reply.provider, status=self.reply.status), fallback=self.fallback)

    def call(self, method: str, path: str, body: bytes | None = None) -> Answered:
        answered = Answered()
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "RAW_URI": path,
            "PATH_INFO": path.partition("?")[0],
            "QUERY_STRING": path.partition("?")[2],
            "SERVER_NAME": "a",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
            "wsgi.input": _Body(body or b""),
            "proxy.headers": [("HOST", "a")],
        }
        if body is not None:
            environ["CONTENT_LENGTH"] = str(len(body))

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            answered.status, answered.headers = status, headers

        chunks: Iterable[bytes] = self.app(environ, start_response)
        answered.body = b"".join(chunks)
        if hasattr(chunks, "close"):
            chunks.close()
        return answered


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int = -1) -> bytes:
        piece, self._content = self._content[:size], self._content[size:]
        return piece


@pytest.fixture
def proxy() -> Proxy:
    return Proxy()
