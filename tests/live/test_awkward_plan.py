"""A Plan that misbehaves below HTTP: it takes no connection, speaks garbage, or stops at an awkward place.

The Plan is a bare socket here, scripted by the test; Bedrock is the usual stand-in.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.asking import abandoned, ask, await_true, get, line_of, post

STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
CONNECT_S, ROOM_S = 1.0, 6.0
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ERROR_EVENT = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'


class BarePlan:
    """One request a connection; then it writes `says` and, if it `stays`, keeps the connection open."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._open, self._rests = threading.Event(), threading.Event()
        self.script(b"")
        threading.Thread(target=self._accept, daemon=True).start()

    def script(self, says: bytes, *, stays: bool = False) -> None:
        self._says, self._stays = says, stays
        self._open.set()

    @contextlib.contextmanager
    def deaf(self) -> Iterator[None]:
        """Nobody accepts and the queue is full: whoever connects waits."""
        self._open.clear()
        self._rests.clear()
        with contextlib.ExitStack() as waiting:
            waiting.enter_context(socket.create_connection(self._listening.getsockname()))
            assert self._rests.wait(20), "what is accepted later would make room in the queue"
            with contextlib.suppress(TimeoutError):
                while True:
                    waiting.enter_context(socket.create_connection(self._listening.getsockname(), timeout=0.2))
            yield
        self._open.set()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._rests.set()
                self._open.wait()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65_536) or b"\r\n\r\n"
            connection.sendall(self._says)
            while self._stays and connection.recv(65_536):
                pass


@pytest.fixture(scope="module")
def bare_plan() -> Iterator[BarePlan]:
    plan = BarePlan()
    yield plan
    plan.close()


@pytest.fixture(scope="module")
def product_settings(bare_plan: BarePlan) -> dict[str, str]:
    return {
        "PROXY_PLAN_URL": bare_plan.url,
        "PROXY_CONNECT_TIMEOUT_S": str(CONNECT_S),
        "PROXY_FIRST_BYTE_TIMEOUT_S": "30",
        "PROXY_COUNT_TOKENS_TIMEOUT_S": "2",
    }


@STREAMS
def test_a_plan_that_takes_no_connection_is_unreachable_after_the_connect_limit(
    stack: Any, bare_plan: BarePlan, stream: bool
) -> None:
    developer = stack.developer()
    with bare_plan.deaf():
        answer = ask(developer, stream=stream)
    assert answer.came_from_bedrock("plan_unreachable")
    assert CONNECT_S <= answer.seconds < CONNECT_S + ROOM_S


def test_a_client_of_a_plan_that_takes_no_connection_still_gets_its_count(stack: Any, bare_plan: BarePlan) -> None:
    developer = stack.developer()
    body = {"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "hello"}]}
    with bare_plan.deaf():
        assert post(developer, "/v1/messages/count_tokens", body).json["input_tokens"] > 0
        assert get(developer, "/v1/models").json["data"]


@STREAMS
@pytest.mark.parametrize(
    ("says", "named"),
    [
        pytest.param(b"", "plan_unreachable", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", "plan_error", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-type: text/ev", "plan_error", id="half a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", "plan_error", id="a head without its body"),
        pytest.param(STREAM_HEAD, "plan_error", id="a stream without its first chunk"),
        pytest.param(b"HTTP/1.1 529 Overloaded\r\ncontent-length: 100\r\n\r\n{", "plan_overloaded", id="half a refusal"),
    ],
)
def test_an_answer_that_ends_before_it_began_falls_back(
    stack: Any, bare_plan: BarePlan, stream: bool, says: bytes, named: str
) -> None:
    developer = stack.developer()
    bare_plan.script(says)
    assert ask(developer, stream=stream).came_from_bedrock(named)


def test_half_a_first_event_is_not_passed_on(stack: Any, bare_plan: BarePlan) -> None:
    developer = stack.developer()
    bare_plan.script(STREAM_HEAD + b"1b\r\nevent: message_start\ndata: {\r\n")
    answer = ask(developer)
    assert answer.came_from_bedrock("plan_error")
    assert [name for name, _ in answer.events].count("message_start") == 1


def test_a_stream_that_stays_open_behind_its_error_event_does_not_keep_the_client_waiting(
    stack: Any, bare_plan: BarePlan
) -> None:
    developer = stack.developer()
    bare_plan.script(STREAM_HEAD + b"%x\r\n%s\r\n" % (len(ERROR_EVENT), ERROR_EVENT), stays=True)
    answer = ask(developer)
    assert answer.came_from_bedrock("plan_overloaded")
    assert answer.seconds < ROOM_S


def test_a_hang_up_reaches_bedrock_also_behind_a_stream_that_stayed_open(stack: Any, bare_plan: BarePlan) -> None:
    developer = stack.developer()
    bare_plan.script(STREAM_HEAD + b"%x\r\n%s\r\n" % (len(ERROR_EVENT), ERROR_EVENT), stays=True)
    stack.bedrock.fault("silent_midstream", after=4)
    with abandoned(developer):
        await_true(lambda: len(stack.bedrock_posts()) == 1)
    await_true(lambda: stack.bedrock_posts()[0]["closed_by_client_at"])


def test_with_nobody_to_fall_back_to_the_error_event_is_passed_on_though_its_stream_stays_open(
    stack: Any, bare_plan: BarePlan
) -> None:
    developer = stack.developer("plan_only")
    bare_plan.script(STREAM_HEAD + b"%x\r\n%s\r\n" % (len(ERROR_EVENT), ERROR_EVENT), stays=True)
    answer = ask(developer)
    assert (answer.status, answer.provider, answer.body) == (200, "plan", ERROR_EVENT)
    assert line_of(stack, answer)["error_type"] == "overloaded_error"


@STREAMS
def test_an_interim_answer_is_passed_over(stack: Any, bare_plan: BarePlan, stream: bool) -> None:
    developer = stack.developer()
    bare_plan.script(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}")
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.body, "link" in answer.headers) == (404, b"{}", False)
