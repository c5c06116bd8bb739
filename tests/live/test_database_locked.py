"""While another process holds SQLite's write lock nobody who asks for an answer notices, and the books catch up afterwards."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from tests import machine
from tests.live.customers import Customers, assert_every_answer_has_one_row
from tests.live.leaver import Line, eventually

LOCKED_S = 12.0  # SQLite itself waits 5 s for the lock, and several of ours may queue up behind it
SLOWEST_S = 4.0  # who waits for the lock waits 5 s and more, as a worker whose event loop does

_PATIENCE_S = 300.0


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {"PROXY_GRANT_TTL_S": "1", "PROXY_FLUSH_INTERVAL_S": "0.2"}


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool


class Doctor:
    """Asks for the server's health all the time; `slowest_s` tells how long its event loop stood still at most."""

    def __init__(self, stack: Any, pool: ThreadPoolExecutor) -> None:
        self._url = stack.url
        self._stop = threading.Event()
        self.slowest_s = 0.0
        self._working = pool.submit(self._look)

    def leave(self) -> None:
        self._stop.set()
        self._working.result()

    def _look(self) -> None:
        """Where nobody tells it to leave, because the test has failed, it leaves of itself, so that the test can end."""
        ends = time.monotonic() + _PATIENCE_S
        with Line(self._url) as line:
            while not self._stop.wait(0.02) and time.monotonic() < ends:
                began = machine.now()
                line.get("/health").answer()
                self.slowest_s = max(self.slowest_s, machine.now().since(began))


def test_a_locked_database_is_not_noticed(stack: Any, clients: ThreadPoolExecutor) -> None:
    customers, doctor = Customers(clients, stack.developer()), Doctor(stack, clients)
    customers.come(6)
    customers.served_more(20)
    with closing(sqlite3.connect(stack.product.data_dir / "var" / "proxy.sqlite", isolation_level=None, timeout=10)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        locked_at = time.monotonic()
        eventually(lambda: time.monotonic() - locked_at > LOCKED_S)
        customers.served_more(20)
        holder.execute("ROLLBACK")
    customers.served_more(20)
    customers.leave()
    doctor.leave()
    assert customers.troubles == []
    assert_every_answer_has_one_row(stack, customers)
    assert doctor.slowest_s < SLOWEST_S
    assert customers.slowest_s < SLOWEST_S
