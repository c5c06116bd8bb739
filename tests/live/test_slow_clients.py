"""A client that reads slowly, or not at all, costs little memory and no time of others; what ends leaves no trace."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox.client import RecordedAnswer
from tests.live.customers import Customers
from tests.live.leaver import Line, eventually

SLOW = 12
SLOWEST_S = 5.0  # whoever waited for one that does not read would wait for many times that
DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"so many"}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
LONG_STREAM = DELTA * 100_000 + STOP  # 12 MB: more than both kernels' buffers take
LEAVES = ("hang", "silent_midstream;after=4", "headers_then_hang", "slow_stream;events=500;delay=0.01")
WAYS = ("fin", "rst", "half")


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {"PROXY_DRAIN_S": "2", "PROXY_GRACEFUL_TIMEOUT_S": "15"}


@pytest.fixture(scope="module")
def anthropic_options() -> tuple[str, ...]:
    return ()


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def worker(stack: Any) -> Path:
    """Where the kernel tells about the one worker."""
    return Path(f"/proc/{stack.product.worker_pids()[0]}")


def memory_kb(stack: Any) -> int:
    lines = (worker(stack) / "status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


def open_files(stack: Any) -> int:
    return len(list((worker(stack) / "fd").iterdir()))


def long_stream(stack: Any, times: int) -> dict[str, str]:
    """The header that asks for it."""
    answer = RecordedAnswer(LONG_STREAM, headers=(("content-type", "text/event-stream"),), times=times)
    return {"x-sandbox-answer": stack.anthropic.record(answer)}


def test_clients_that_do_not_read_cost_little_memory_and_no_time_of_others(stack: Any, clients: ThreadPoolExecutor) -> None:
    developer = stack.developer()
    others = Customers(clients, stack.developer())
    others.come(2)
    others.served_more(20)
    before_kb = memory_kb(stack)
    wanted = long_stream(stack, SLOW)
    deaf = [Line(developer.base_url, recv_bytes=4096).ask(headers=wanted).read_head() for _ in range(SLOW)]
    others.served_more(300)
    assert [line.status for line in deaf] == [200] * SLOW
    assert memory_kb(stack) - before_kb < SLOW * 2_000
    others.leave()
    assert (others.troubles, others.slowest_s < SLOWEST_S) == ([], True)
    for line in deaf:
        line.leave("rst")


def test_a_slow_reader_gets_every_byte(stack: Any) -> None:
    developer = stack.developer()
    with Line(developer.base_url, recv_bytes=65_536) as line:
        line.ask(headers=long_stream(stack, 1)).read_head()
        digest = hashlib.sha256()
        for number, chunk in enumerate(line.chunks()):
            digest.update(chunk)
            if number < 20:
                time.sleep(0.05)  # not to wait for something: this is what slow means
    assert digest.hexdigest() == hashlib.sha256(LONG_STREAM).hexdigest()


def visit(stack: Any, developers: list[Any], number: int) -> None:
    """One request; three of four leave before its end, each in another way and at another moment."""
    fault = "ok" if number % 4 == 0 else LEAVES[number // 4 % len(LEAVES)]
    developer = developers[number % len(developers)]
    with Line(developer.base_url) as line:
        line.ask(stream=number % 5 != 0, headers={"x-sandbox-fault": fault})
        if fault == "ok":
            line.answer()
        elif fault.startswith(("silent", "slow")) and number % 5 != 0 and developer is not developers[-1]:
            line.read_head().await_text(b"content_block_delta")
        line.leave(WAYS[number % len(WAYS)])


def test_a_thousand_requests_with_hang_ups_leave_nothing_behind(stack: Any, clients: ThreadPoolExecutor) -> None:
    developers = [stack.developer(bedrock="") for _ in range(4)] + [stack.developer("bedrock_only")]
    list(clients.map(lambda number: visit(stack, developers, number), range(200)))
    files = eventually(lambda: settled(stack))
    list(clients.map(lambda number: visit(stack, developers, number), range(1000)))
    assert eventually(lambda: settled(stack)) <= files + 16
    assert memory_kb(stack) < 250_000
    stack.product.signal(signal.SIGTERM)
    assert stack.product.wait(60) == 0
    stopped = [line["context"] for line in stack.product.logs() if line["message"] == "stopped"]
    assert [each["calls_left"] for each in stopped] == [0]


def settled(stack: Any) -> int:
    """Open files once their number has stopped falling; 0 until then."""
    before = open_files(stack)
    time.sleep(0.7)
    return before if open_files(stack) == before else 0
