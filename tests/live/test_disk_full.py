"""The spool's disk is full and the database away, both really: requests are served, nothing is lost, operators hear of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.live.customers import Customers, assert_every_answer_has_one_row
from tests.live.leaver import eventually
from tests.live.postgres import Postgres
from tests.mounts import small_disk

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
