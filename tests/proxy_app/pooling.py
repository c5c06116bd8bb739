"""What tests of the pool share: a clock that can be moved on, a lifeline that can be cut, and ways to ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from proxy_app.call import Severable
from proxy_app.http_pool import HttpPool
from proxy_app.upstream_http import Origin, UpstreamAnswer, UpstreamRequest
from tests.live.bare import Played, RawUpstream, answer_bytes, json_answer

FOR_EVER = float("inf")
STREAM = answer_bytes("200 OK", [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])


class Clock:
    """The real one, and a way to let time pass."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


class Line:
    """A lifeline that is cut when the test says so."""

    draining = False

    def __init__(self, gone: bool = False) -> None:
        self.gone = gone
        self.held: Severable | None = None

    def hold(self, connection: Severable) -> None:
        self.held = connection
        if self.gone:
            connection.sever()

    def release(self) -> None:
        self.held = None

    def pause(self, seconds: float) -> None:
        raise AssertionError("the pool never sleeps")

    def close(self) -> None:
        raise AssertionError("the line is not the pool's")

    def cut(self) -> None:
        self.gone = True
        if self.held is not None:
            self.held.sever()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[HttpPool]:
    pool = HttpPool(2.0, clock)
    yield pool
    pool.close()


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream(lambda seen: Played([json_answer(seen.body)])) as upstream:
        yield upstream


def request_to(upstream: RawUpstream, body: bytes = b"{}") -> UpstreamRequest:
    return UpstreamRequest(Origin.of(upstream.url), "POST", "/v1/messages", (("x-a", "1"),), body)


def opened(
    pool: HttpPool, upstream: RawUpstream, body: bytes = b"{}", line: Line | None = None, within_s: float = FOR_EVER
) -> UpstreamAnswer:
    return pool.send(request_to(upstream, body), line, time.monotonic() + within_s)


def whole(answer: UpstreamAnswer) -> bytes:
    return b"".join(answer.chunks(FOR_EVER, time.monotonic))


def asked(pool: HttpPool, upstream: RawUpstream, body: bytes = b"{}") -> bytes:
    return whole(opened(pool, upstream, body))


def after(seconds: float, act: Callable[[], object]) -> None:
    gevent.spawn_later(seconds, act)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def and_then_wait(pieces: list[bytes], left: threading.Event) -> Iterator[bytes]:
    yield from pieces
    left.wait(20)
    yield from ([b"x" * 100_000] * 100)
