"""A small application for tests of the worker: each path misbehaves, or behaves, in one way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent

from core.worker import AnswerAborted

JSON = ("content-type", "application/json")


class Application:
    """A WSGI callable with what more the server's configuration and its worker ask of one."""

    def __init__(self) -> None:
        self.go_on = gevent.event.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        name = environ["PATH_INFO"].strip("/").replace("-", "_")
        answer: Iterable[bytes] = getattr(self, name)(environ, start_response)
        return answer

    def start(self, is_alive: Callable[[], bool]) -> None:
        return None

    def close(self) -> None:
        return None

    def unreadable(self, status: int, reason: str) -> tuple[str, tuple[tuple[str, str], ...], bytes]:
        return f"{status} Unreadable", (("content-length", "4"), ("connection", "close")), b"what"

    def hello(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("content-length", "5")])
        return [b"hello"]

    def echo(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("content-length", str(len(body)))])
        return [body]

    def chunks(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"one", b"", b"two"]

    def refused(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("413 Too Large", [("content-length", "7"), ("connection", "close")])
        return [b"refused"]

    def headers_seen(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = json.dumps(environ["proxy.headers"]).encode()
        start_response("200 OK", [JSON, ("content-length", str(len(body)))])
        return [body]

    def headers_sent(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        sent = [("X-b", "1"), ("server", "theirs"), ("x-B", "2"), ("Date", "then"), ("X-b", "1"), ("Trailers", "kept")]
        start_response("200 Fine", [*sent, ("content-length", "0"), ("Keep-Alive", "x"), ("Transfer-Encoding", "chunked")])
        return []

    def short(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("content-length", "10")])
        return [b"four"]

    def long(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("content-length", "4")])
        return [b"four", b"more"]

    def aborted(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return _aborted(b"begun")

    def aborted_short(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("content-length", "10")])
        return _aborted(b"begun")

    def crashed(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise RuntimeError("a crash of the test's own")

    def crashed_late(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return _crashed(b"begun")

    def stepwise(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Begins, and goes on when another request says so."""
        start_response("200 OK", [])
        self.go_on.clear()
        return self._stepwise()

    def step(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.go_on.set()
        return self.hello(environ, start_response)

    def _stepwise(self) -> Iterator[bytes]:
        yield b"begun"
        self.go_on.wait(20)
        yield b"ended"


def _aborted(begun: bytes) -> Iterator[bytes]:
    yield begun
    raise AnswerAborted


def _crashed(begun: bytes) -> Iterator[bytes]:
    yield begun
    raise RuntimeError("a crash of the test's own")


application = Application()
