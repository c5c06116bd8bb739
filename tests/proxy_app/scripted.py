"""A pool whose upstream is a script: what each request is answered, byte by byte and second by second, without a socket.

What it hands out is the real `UpstreamAnswer` over the real parser; only the connection below is a list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from core.types import BedrockKey, Grant, KeyHealth, Residency, Strategy
from proxy_app.call import Asked, Call, Endpoint, Headers
from proxy_app.upstream_http import AnswerParser, NoAnswer, UpstreamAnswer, UpstreamRequest
from proxy_app.upstream_socket import Expired

Script = list[bytes | float | Exception]
KEY = BedrockKey("bdk-1", "us-east-1", Residency.GLOBAL, KeyHealth.HEALTHY, "secret-1")
OTHER_KEY = BedrockKey("bdk-2", "eu-west-1", Residency.GEO, KeyHealth.HEALTHY, "secret-2")
BODY = {"model": "claude-sonnet-5-5", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class ScriptedConnection:
    """Bytes are received, a number is so many seconds of silence, an exception is raised; then comes the peer's end."""

    script: Script
    clock: Clock
    fate: str = ""

    @property
    def socket(self) -> Any:
        return self

    def receive(self, deadline: float) -> bytes:
        while self.script:
            step = self.script[0]
            if isinstance(step, float):
                if self.clock.now + step > deadline:
                    self.script[0] = step - max(0.0, deadline - self.clock.now)
                    self.clock.now = max(self.clock.now, deadline)
                    raise Expired
                self.clock.now += step
            self.script.pop(0)
            if isinstance(step, Exception):
                raise step
            if isinstance(step, bytes):
                return step
        return b""

    def give_back(self) -> None:
        self.fate += "given back"

    def drop(self) -> None:
        self.fate += "dropped"


@dataclass
class ScriptedPool:
    """Answers each request with the next script."""

    clock: Clock
    scripts: list[Script]
    requests: list[UpstreamRequest] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    connections: list[ScriptedConnection] = field(default_factory=list)

    def send(self, request: UpstreamRequest, lifeline: object, deadline: float) -> UpstreamAnswer:
        self.requests.append(request)
        self.deadlines.append(deadline)
        script = self.scripts.pop(0)
        if script and isinstance(script[0], Exception):
            raise script[0]
        connection, parser = ScriptedConnection(script, self.clock), AnswerParser()
        self.connections.append(connection)
        try:
            while not parser.headers_complete:
                received = connection.receive(deadline)
                if not received:
                    raise NoAnswer("the end", silent=True)
                parser.feed(received)
        except Exception:
            connection.drop()
            raise
        return UpstreamAnswer(connection, parser)

    @property
    def fates(self) -> list[str]:
        return [connection.fate for connection in self.connections]

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.requests]


class Line:
    """A lifeline that nobody cuts; `pauses` are let pass on the clock."""

    gone = draining = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.pauses: list[float] = []

    def hold(self, connection: object) -> None:
        pass

    def release(self) -> None:
        pass

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._clock.now += seconds


def call(clock: Clock, endpoint: Endpoint = Endpoint.MESSAGES, **changes: Any) -> Call:
    """`stream`, `body`, `headers`, `commit_by`, `strategy`, `keys`, `target` change the standard call."""
    body = changes.get("body", BODY)
    asked = Asked(str((body or {}).get("model", "")), changes.get("stream", True), False, body)
    grant = Grant("usr-1", "key-1", changes.get("strategy", Strategy.PLAN_FIRST), changes.get("keys", (KEY,)))
    headers: Headers = changes.get("headers", (("x-api-key", "k"),))
    target, line = changes.get("target", "/v1/messages?beta=true"), Line(clock)
    call_by = changes.get("commit_by", float("inf"))
    return Call("req_1", grant, endpoint, "POST", target, headers, b"{}", asked, line, commit_by=call_by)  # type: ignore[arg-type]


def answer(status: int = 200, body: bytes = b"{}", *headers: str, length: int | None = None) -> bytes:
    """A whole answer by length; `length` announces another one."""
    lines = [f"HTTP/1.1 {status} Reason", *headers, f"content-length: {len(body) if length is None else length}", "", ""]
    return "\r\n".join(lines).encode() + body


def stream_head(content_type: str = "text/event-stream") -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


END = b"0\r\n\r\n"
