"""HTTP by the byte, for requests that no client library would send."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LOGIN = b"Host: proxy.test\r\nx-api-key: sk-ant-sandbox\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
CLOSE = b"connection: close\r\n"
REQUEST_ID = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """(status, error type) of an answer that is an error in Anthropic's shape, with one request id all over."""
        assert self.json.keys() == {"type", "error", "request_id"}, self
        assert self.json["type"] == "error" and self.json["error"].keys() == {"type", "message"}, self
        ids = {self.json["request_id"], self.header("request-id"), self.header("x-proxy-request-id")}
        assert len(ids) == 1 and REQUEST_ID.fullmatch(ids.pop()), self
        assert self.json["error"]["message"].startswith("claude-code-proxy: "), self
        assert "Traceback" not in self.json["error"]["message"]
        return self.status, self.json["error"]["type"]


@dataclass(frozen=True)
class Dialogue:
    """Every answer on one connection, and whether the server closed it (else it waits for the next request)."""

    answers: tuple[Answer, ...]
    closed: bool

    @property
    def only(self) -> Answer:
        assert len(self.answers) == 1, self.answers
        return self.answers[0]


def post(target: bytes, body: bytes, extra: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\n%b%bcontent-length: %d\r\n\r\n%b" % (target, LOGIN, extra, len(body), body)


def chunked(target: bytes, *pieces: bytes) -> bytes:
    """A POST whose body has no announced length."""
    head = b"POST %b HTTP/1.1\r\n%btransfer-encoding: chunked\r\n\r\n" % (target, LOGIN)
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def talk(port: int, *sent: bytes, hang_up: bool = False, silence_s: float = 0.3, limit_s: float = 20.0) -> Dialogue:
    """Send, then read until the server closes, or has answered and says nothing more for `silence_s`. Where it announced the end
    of the connection, that is waited for."""
    received = b""
    closed = False
    with socket.create_connection(("127.0.0.1", port), timeout=limit_s) as sock:
        _send(sock, sent)
        if hang_up:
            sock.shutdown(socket.SHUT_WR)
        while not closed:
            answers, _ = _parsed(received)
            ends = not answers or answers[-1].header("connection") == "close"
            sock.settimeout(limit_s if ends else silence_s)
            try:
                piece = sock.recv(65_536)
            except TimeoutError:
                break
            closed = not piece
            received += piece
    answers, rest = _parsed(received)
    assert rest == b"", rest[:300]
    return Dialogue(tuple(answers), closed)


def until_closed(port: int, sent: bytes, *, hang_up: bool = False, limit_s: float = 20.0) -> bytes:
    """All that the server sends, whole answers or not, until it closes the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=limit_s) as sock:
        _send(sock, (sent,))
        if hang_up:
            sock.shutdown(socket.SHUT_WR)
        try:
            while piece := sock.recv(65_536):
                received += piece
        except ConnectionResetError:
            pass
    return received


def _send(sock: socket.socket, sent: Iterable[bytes]) -> None:
    for piece in sent:
        try:
            sock.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):  # refused early: the answer is there to be read
            return


def _parsed(received: bytes) -> tuple[list[Answer], bytes]:
    """Whole answers, and what is left over."""
    answers: list[Answer] = []
    while b"\r\n\r\n" in received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        answer = Answer(int(first.split(" ")[1]), headers, b"")
        body, left = _body(answer, rest)
        if left is None:
            break
        answers.append(Answer(answer.status, headers, body))
        received = left
    return answers, received


def _body(answer: Answer, rest: bytes) -> tuple[bytes, bytes | None]:
    if answer.header("transfer-encoding") == "chunked":
        body = b""
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                break
            body, rest = body + rest[:length], rest[length + 2 :]
            if length == 0:
                return body, rest
        return body, None
    length = int(answer.header("content-length") or 0)
    return rest[:length], rest[length:] if len(rest) >= length else None
