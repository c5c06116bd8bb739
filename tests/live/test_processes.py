"""Server processes come and go under load: a reload fails no request, a kill loses no row of an answer that was given."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.live.customers import Customers, assert_every_answer_has_one_row
from tests.live.leaver import Line, eventually, is_refused, rows_of

GRACEFUL_S = 20


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def product_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """One worker on SQLite, as it must be; two on PostgreSQL, so that one can take over from the other."""
    settings = {"PROXY_DRAIN_S": "5", "PROXY_GRACEFUL_TIMEOUT_S": str(GRACEFUL_S), "PROXY_FLUSH_INTERVAL_S": "1"}
    if request.param == "sqlite":
        return settings
    return settings | {"PROXY_DATABASE_URL": request.getfixturevalue("postgres_server").migrated(), "PROXY_WORKERS": "2"}


@pytest.fixture
def stack(running: Any) -> Any:
    running.anthropic.reset()
    running.bedrock.reset()
    if is_refused(running.product.url):
        running.product.stop()
        running.product.start()
    return running


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool


def test_a_reload_under_load_fails_no_request(stack: Any, clients: ThreadPoolExecutor) -> None:
    customers = Customers(clients, stack.developer())
    customers.come(8)
    customers.served_more(20)
    old = stack.product.worker_pids()
    stack.product.signal(signal.SIGHUP)
    eventually(lambda: not set(old) & set(stack.product.worker_pids()), GRACEFUL_S)
    customers.served_more(40)
    customers.leave()
    assert customers.troubles == []
    assert_every_answer_has_one_row(stack, customers)


def test_a_killed_worker_loses_no_row_of_an_answer_that_was_given(stack: Any, clients: ThreadPoolExecutor) -> None:
    customers = Customers(clients, stack.developer())
    customers.come(8)
    for _ in range(3):
        customers.served_more(30)
        victim = eventually(lambda: stack.product.worker_pids())[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda gone=victim: gone not in stack.product.worker_pids())
    customers.served_more(30)
    customers.leave()
    assert_every_answer_has_one_row(stack, customers)


def test_what_a_killed_worker_was_in_the_middle_of_is_booked_as_a_part_and_never_as_whole(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("silent_midstream", after=5)
    lines = [Line(developer.base_url).ask().read_head() for _ in range(6)]
    for line in lines:
        line.await_text(b"content_block_delta")
    for worker in stack.product.worker_pids():
        os.kill(worker, signal.SIGKILL)
    assert [is_cut(line) for line in lines] == [True] * 6
    stack.anthropic.clear_faults()
    after = eventually(lambda: answered(developer), every_s=0.2)
    begun = {line.headers["x-proxy-request-id"] for line in lines}
    rows = eventually(lambda: rows_once_all_are_there(stack, developer, {after, *begun}))
    assert rows.pop(after).confidence == "exact"
    assert {row.request_id for row in rows.values()} == begun
    assert {(row.confidence, row.error_type, row.fault, row.provider) for row in rows.values()} == {
        ("partial", "worker_lost", "stream_broken", "plan")
    }
    assert min(row.input_tokens for row in rows.values()) > 0


def is_cut(line: Line) -> bool:
    """Whether the answer ends before its end; reads what is still on its way."""
    with contextlib.suppress(ConnectionError):
        line.await_text(b"message_stop")
        return False
    return True


def rows_once_all_are_there(stack: Any, developer: Any, wanted: set[str]) -> dict[str, Any]:
    rows = {row.request_id: row for row in rows_of(stack, developer.access_key_id)}
    return rows if wanted <= set(rows) else {}


def answered(developer: Any) -> str:
    """The id of a request that was served; empty while nobody serves."""
    with contextlib.suppress(OSError), Line(developer.base_url) as line:
        line.ask().answer()
        return line.headers["x-proxy-request-id"] if line.status == 200 else ""
    return ""


def test_a_killed_master_loses_no_row_of_an_answer_that_was_given(stack: Any, clients: ThreadPoolExecutor) -> None:
    customers = Customers(clients, stack.developer())
    customers.come(8)
    customers.served_more(30)
    workers = stack.product.worker_pids()
    stack.product.signal(signal.SIGKILL)
    eventually(lambda: not any(map(is_running, workers)), GRACEFUL_S)
    customers.leave()
    stack.product.stop()
    stack.product.start()
    assert_every_answer_has_one_row(stack, customers)


def test_everything_killed_at_once_loses_no_row_of_an_answer_that_was_given(stack: Any, clients: ThreadPoolExecutor) -> None:
    customers = Customers(clients, stack.developer())
    customers.come(8)
    customers.served_more(30)
    os.killpg(stack.product.pid, signal.SIGKILL)
    customers.leave()
    stack.product.stop()
    stack.product.start()
    assert_every_answer_has_one_row(stack, customers)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
