"""The spool's disk is full and the database away, both really: requests are served, nothing is lost, operators hear of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.live.customers import Customers, assert_every_answer_has_one_row
from tests.live.leaver import eventually
from tests.live.postgres import Postgres
from tests.mounts import small_disk, take_no_more_files

KILOBYTES = 64


@pytest.fixture(scope="module")
def product_settings(postgres: Postgres) -> dict[str, str]:
    return {"PROXY_DATABASE_URL": postgres.url, "PROXY_FLUSH_INTERVAL_S": "0.2"}


@pytest.fixture
def disk(running: Any) -> Iterator[Path]:
    running.product.stop()
    with small_disk(running.product.data_dir / "var" / "spool", KILOBYTES) as folder:
        running.product.start()
        yield folder
        running.product.stop()


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def errors_of(stack: Any) -> list[str]:
    return [line["message"] for line in stack.product.logs() if line["level"] == "ERROR"]


def held_of(stack: Any) -> int:
    return max((line["context"].get("held", 0) for line in stack.product.logs() if line["level"] == "ERROR"), default=0)


def test_requests_are_served_nothing_is_lost_and_the_alarm_is_raised(
    stack: Any, disk: Path, postgres: Postgres, clients: ThreadPoolExecutor
) -> None:
    customers = Customers(clients, stack.developer())
    customers.come(8)
    customers.served_more(20)
    postgres.stop()
    customers.served_more(2 * KILOBYTES * 1024 // 600)
    eventually(lambda: "the spool's disk is full: records wait in memory" in errors_of(stack))
    postgres.start()
    customers.served_more(20)
    customers.leave()
    assert customers.troubles == []
    assert held_of(stack) > 0
    assert_every_answer_has_one_row(stack, customers)
    assert [message for message in errors_of(stack) if "lost" in message] == []


def is_ready(stack: Any) -> bool:
    with suppress(OSError):
        return bool(urlopen(f"{stack.product.url}/ready", timeout=5).status == 200)
    return False


def test_a_worker_that_is_killed_while_the_disk_takes_no_file_is_replaced_and_no_record_is_lost(
    stack: Any, disk: Path, clients: ThreadPoolExecutor
) -> None:
    """A worker that could not begin would make gunicorn end the whole server."""
    customers = Customers(clients, stack.developer())
    before = stack.product.worker_pids()
    take_no_more_files(disk)
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: set(stack.product.worker_pids()) - set(before) != set())
    eventually(lambda: is_ready(stack))
    customers.come(4)
    customers.served_more(20)
    customers.leave()
    assert customers.troubles == []
    assert_every_answer_has_one_row(stack, customers)
