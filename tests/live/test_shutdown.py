"""A server that is told to end finishes what it can, says so where it cannot, and loses no row."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.heartbeat import list_workers
from tests import machine
from tests.live.leaver import Line, eventually, is_refused, rows_of

DRAIN_S = 3
GRACEFUL_S = 30
LOOKS_EVERY_S = 1.0  # so often gunicorn's worker looks whether it is to end, and then stops listening
# Few events, so that a slow machine keeps the pace of the short ones: they take half of the drain.
SHORT = "slow_stream;events=15;delay=0.1"
LONG = "slow_stream;events=1000;delay=0.5"


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {
        "PROXY_DRAIN_S": str(DRAIN_S),
        "PROXY_GRACEFUL_TIMEOUT_S": str(GRACEFUL_S),
        "PROXY_FLUSH_INTERVAL_S": "0.2",
    }


@pytest.fixture
def stack(running: Any) -> Any:
    """Each test has a server of its own to end."""
    running.anthropic.reset()
    running.bedrock.reset()
    running.product.stop()
    running.product.start()
    return running


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(60) as pool:
        yield pool


@dataclass
class Heard:
    """What one client got. `whole`: the framing ended as it should."""

    status: int
    request_id: str
    text: bytes
    whole: bool

    @property
    def finished(self) -> bool:
        return b"event: message_stop" in self.text

    @property
    def last_event(self) -> tuple[bytes, Any]:
        name, _, content = self.text.strip().rpartition(b"\n\n")[2].partition(b"\n")
        return name, json.loads(content.removeprefix(b"data: "))


def hear(developer: Any, begun: Callable[[], object], *, stream: bool = True, fault: str = "") -> Heard:
    """One request to its end. `begun` is called when the answer's first bytes are here."""
    with Line(developer.base_url, timeout_s=40) as line:
        line.ask(stream=stream, headers={"x-sandbox-fault": fault} if fault else None).read_head()
        text, whole = b"", True
        try:
            for chunk in line.chunks():
                if not text:
                    begun()
                text += chunk
        except ConnectionError:
            whole = False
        return Heard(line.status, line.headers["x-proxy-request-id"], text, whole)


def ended(stack: Any, within_s: float) -> int:
    """The server's exit code."""
    eventually(lambda: not stack.product.is_running, within_s)
    return int(stack.product.wait(1))


def nothing() -> None:
    return None


def test_fifty_streams_end_in_good_order_and_each_has_its_row(stack: Any, clients: ThreadPoolExecutor) -> None:
    plan, cloud = stack.developer(), stack.developer("bedrock_only")
    stack.bedrock.fault("slow_stream", events=1000, delay=0.5)
    begun = threading.Semaphore(0)
    long = [clients.submit(hear, plan, begun.release, fault=LONG) for _ in range(20)]
    long += [clients.submit(hear, cloud, begun.release) for _ in range(10)]
    short = [clients.submit(hear, plan, begun.release, fault=SHORT) for _ in range(20)]
    assert all(begun.acquire(timeout=60) for _ in range(50))
    told_at = machine.now()
    stack.product.signal(signal.SIGTERM)
    finished, cut = [each.result() for each in short], [each.result() for each in long]
    assert ended(stack, GRACEFUL_S) == 0
    assert machine.now().since(told_at) < DRAIN_S + 8
    assert [(each.whole, each.finished) for each in finished] == [(True, True)] * 20
    assert [each.whole for each in cut] == [True] * 30
    assert {(each.last_event[0], each.last_event[1]["error"]["type"]) for each in cut} == {(b"event: error", "overloaded_error")}
    rows = rows_of(stack, plan.access_key_id) + rows_of(stack, cloud.access_key_id)
    assert sorted(row.request_id for row in rows) == sorted(each.request_id for each in finished + cut)
    partial = {row.request_id for row in rows if (row.fault, row.confidence) == ("stream_broken", "partial")}
    assert partial == {each.request_id for each in cut}
    logged = [line["request_id"] for line in stack.product.access_lines()]
    assert all(logged.count(each.request_id) == 1 for each in finished + cut)


def test_a_server_that_ends_at_once_ends_its_streams_in_good_order_too(stack: Any, clients: ThreadPoolExecutor) -> None:
    developer, begun = stack.developer(), threading.Semaphore(0)
    streams = [clients.submit(hear, developer, begun.release, fault=LONG) for _ in range(5)]
    assert all(begun.acquire(timeout=60) for _ in range(5))
    stack.product.signal(signal.SIGINT)
    heard = [each.result() for each in streams]
    assert ended(stack, 10) == 0
    assert [(each.whole, each.last_event[0]) for each in heard] == [(True, b"event: error")] * 5
    rows = rows_of(stack, developer.access_key_id)
    assert sorted(row.request_id for row in rows) == sorted(each.request_id for each in heard)


def test_ctrl_c_which_reaches_a_worker_from_its_terminal_and_from_its_master_cuts_nothing_short(
    stack: Any, clients: ThreadPoolExecutor
) -> None:
    developer, begun = stack.developer(), threading.Semaphore(0)
    streams = [clients.submit(hear, developer, begun.release, fault=LONG) for _ in range(5)]
    assert all(begun.acquire(timeout=20) for _ in range(5))
    os.killpg(stack.product.pid, signal.SIGINT)
    heard = [each.result() for each in streams]
    assert ended(stack, 10) == 0
    assert [(each.whole, each.last_event[0]) for each in heard] == [(True, b"event: error")] * 5
    rows = rows_of(stack, developer.access_key_id)
    assert sorted(row.request_id for row in rows) == sorted(each.request_id for each in heard)
    assert stack.database.run(list_workers) == []


def test_a_server_that_ends_says_so_on_open_connections_and_takes_no_new_ones(stack: Any, clients: ThreadPoolExecutor) -> None:
    developer = stack.developer()
    begun = threading.Event()
    stream = clients.submit(hear, developer, begun.set, fault=LONG)
    assert begun.wait(60)
    open_ones = [Line(stack.url) for _ in range(20)]
    assert [each.get("/ready").read_head().status for each in open_ones] == [200] * 20
    for each in open_ones:
        each.body()
    stack.product.signal(signal.SIGTERM)
    said = eventually(lambda: _not_ready(open_ones), every_s=0.1)
    assert json.loads(said)["status"] == "draining"
    eventually(lambda: is_refused(stack.url), 5)
    assert not stream.done()
    assert stream.result().whole
    assert ended(stack, GRACEFUL_S) == 0


def _not_ready(open_ones: list[Line]) -> bytes:
    line = open_ones.pop()
    body = line.get("/ready").answer()
    return body if line.status == 503 else b""


def test_idle_clients_do_not_hold_a_server_up(stack: Any) -> None:
    idle = [Line(stack.url).get("/health") for _ in range(10)]
    assert [each.answer() for each in idle] == [b'{"status":"ok"}'] * 10
    never_spoke = [Line(stack.url) for _ in range(10)]
    told_at = machine.now()
    stack.product.signal(signal.SIGTERM)
    assert [each.at_end() for each in idle + never_spoke] == [True] * 20
    assert ended(stack, GRACEFUL_S) == 0
    assert machine.now().since(told_at) < 10


def test_who_was_connected_before_a_server_stops_listening_is_answered(stack: Any) -> None:
    """The kernel connects clients also while the worker has no processor, and would reset them with the listener's end."""
    [worker] = stack.product.worker_pids()
    os.kill(worker, signal.SIGSTOP)
    stopped_at = time.monotonic()
    waiting = [Line(stack.url).get("/health") for _ in range(50)]
    stack.product.signal(signal.SIGTERM)
    eventually(lambda: _is_told_to_end(worker) and time.monotonic() - stopped_at > LOOKS_EVERY_S)
    os.kill(worker, signal.SIGCONT)
    assert [each.answer() for each in waiting] == [b'{"status":"ok"}'] * 50
    assert ended(stack, GRACEFUL_S) == 0


def _is_told_to_end(pid: int) -> bool:
    """Whether a SIGTERM waits for this process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    waits = int(next(line.split()[1] for line in lines if line.startswith("ShdPnd")), 16)
    return bool(waits >> (signal.SIGTERM - 1) & 1)


def test_requests_that_still_wait_at_the_drain_are_told_to_come_again(stack: Any, clients: ThreadPoolExecutor) -> None:
    on_plan, on_bedrock = stack.developer(), stack.developer("bedrock_only")
    kinds = [(developer, stream) for developer in (on_plan, on_bedrock) for stream in (True, False)]
    for sandbox in (stack.anthropic, stack.bedrock):
        sandbox.fault("hang")
    waiting = [clients.submit(hear, developer, nothing, stream=stream) for developer, stream in kinds * 3]
    eventually(lambda: len(stack.anthropic.requests()) == len(stack.bedrock.requests()) == 6)
    stack.product.signal(signal.SIGTERM)
    answers = [each.result() for each in waiting]
    assert ended(stack, GRACEFUL_S) == 0
    assert {(each.status, json.loads(each.text)["error"]["type"]) for each in answers} == {(529, "overloaded_error")}
    rows = rows_of(stack, on_plan.access_key_id) + rows_of(stack, on_bedrock.access_key_id)
    assert sorted(row.request_id for row in rows) == sorted(each.request_id for each in answers)
    assert {(row.status, row.confidence) for row in rows} == {(529, "partial")}


def test_a_token_count_that_waits_at_the_drain_is_answered_all_the_same(stack: Any, clients: ThreadPoolExecutor) -> None:
    developer = stack.developer("bedrock_only")
    stack.bedrock.fault("hang", match={"path": "count-tokens"})
    counting = clients.submit(_count, developer)
    eventually(lambda: stack.bedrock.requests())
    stack.product.signal(signal.SIGTERM)
    assert counting.result() in (200, 529)
    assert ended(stack, GRACEFUL_S) == 0


def _count(developer: Any) -> int:
    body = b'{"model":"claude-sonnet-4-5-20250929","messages":[{"role":"user","content":"x"}]}'
    with Line(developer.base_url) as line:
        line.post("/v1/messages/count_tokens", body).answer()
        return line.status


def test_a_request_whose_body_still_comes_at_the_drain_is_turned_away(stack: Any, clients: ThreadPoolExecutor) -> None:
    developer = stack.developer()
    body = json.dumps({"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}).encode()
    stack.anthropic.fault("hang")
    with Line(developer.base_url) as line:
        head = f"POST /ak/{developer.access_key}/v1/messages HTTP/1.1\r\nhost: proxy\r\ncontent-length: {len(body)}\r\n\r\n"
        line.write(head.encode() + body[:10])
        eventually(lambda: Line(stack.url).get("/health").read_head().status == 200)  # the one before it is accepted, too
        drains = _drains(stack)
        stack.product.signal(signal.SIGTERM)
        eventually(lambda: _drains(stack) > drains, DRAIN_S + 10)
        line.write(body[10:])
        line.answer()
        assert line.status == 529
    assert ended(stack, GRACEFUL_S) == 0


def _drains(stack: Any) -> int:
    """How many have come to their deadline; the log is of all servers of this file."""
    return sum(line["message"] == "ending what is under way" for line in stack.product.logs())


def test_a_client_that_does_not_read_is_ended_by_the_drain(stack: Any) -> None:
    developer = stack.developer()
    with Line(developer.base_url, recv_bytes=4096) as line:
        line.ask(headers={"x-sandbox-fault": "slow_stream;events=200000;delay=0"}).read_head()
        eventually(lambda: stack.anthropic.requests()[-1]["at"])
        told_at = machine.now()
        stack.product.signal(signal.SIGTERM)
        assert ended(stack, GRACEFUL_S) == 0
        assert machine.now().since(told_at) < DRAIN_S + 8
    rows = rows_of(stack, developer.access_key_id)
    assert [(row.confidence, row.fault in ("client_gone", "stream_broken")) for row in rows] == [("partial", True)]


def test_a_body_that_never_comes_to_its_end_does_not_hold_a_server_up(stack: Any) -> None:
    developer = stack.developer()
    with Line(developer.base_url) as line:
        head = f"POST /ak/{developer.access_key}/v1/messages HTTP/1.1\r\nhost: proxy\r\ncontent-length: 5000\r\n\r\n"
        line.write(head.encode() + b'{"model":')
        eventually(lambda: Line(stack.url).get("/health").read_head().status == 200)
        told_at = machine.now()
        stack.product.signal(signal.SIGTERM)
        assert ended(stack, GRACEFUL_S) == 0
        assert machine.now().since(told_at) < DRAIN_S + 8
