"""At most ten connections to the database, whatever two workers are asked at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import pytest

from core.crypto import hash_password
from tests.live.admin_browser import LiveBrowser
from tests.live.customers import Customers, assert_every_answer_has_one_row

PASSWORD = "correct horse battery staple"
MOST = 10
CLIENTS, READERS, PAGES = 16, 6, 12
OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'claude-code-proxy'"


@pytest.fixture(scope="module")
def product_settings(postgres_server: Any) -> Iterator[dict[str, str]]:
    url = postgres_server.migrated()
    yield {
        "PROXY_DATABASE_URL": url,
        "PROXY_WORKERS": "2",
        "PROXY_GRANT_TTL_S": "0.05",
        "PROXY_FLUSH_INTERVAL_S": "0.05",
        "PROXY_TICK_S": "0.1",
        "PROXY_ADMIN_PASSWORD_HASH": hash_password(PASSWORD, rounds=5),
    }
    postgres_server.drop(url)


@dataclass
class Watch:
    """Counts the product's connections all the time; the test's own, opened by this process, is taken off."""

    url: str
    own: int
    counts: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        cursor = connection.cursor()
        while not self._stop.wait(0.01):
            cursor.execute(OURS)
            self.counts.append(int(cursor.fetchone()[0]) - self.own)
        connection.close()

    def stop(self) -> None:
        self._stop.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(CLIENTS + READERS + 1) as pool:
        yield pool


@pytest.fixture
def customers(stack: Any, pool: ThreadPoolExecutor) -> Iterator[Customers]:
    customers = Customers(pool, stack.developer())
    yield customers
    customers.leave()


@pytest.fixture
def watch(product_settings: dict[str, str], pool: ThreadPoolExecutor) -> Iterator[Watch]:
    watch = Watch(product_settings["PROXY_DATABASE_URL"], own=1)
    yield watch
    watch.stop()


def read_reports(stack: Any) -> int:
    browser = LiveBrowser(stack.url)
    browser.sign_in("admin", PASSWORD)
    return sum(browser.get().status == 200 for _ in range(PAGES))


def test_two_workers_never_hold_more_than_ten_connections(
    stack: Any, pool: ThreadPoolExecutor, customers: Customers, watch: Watch
) -> None:
    watching = pool.submit(watch.run)
    customers.come(CLIENTS)
    readers = [pool.submit(read_reports, stack) for _ in range(READERS)]
    customers.served_more(150)
    assert [reader.result() for reader in readers] == [PAGES] * READERS
    customers.leave()
    watch.stop()
    watching.result()
    assert customers.troubles == []
    assert 4 <= max(watch.counts) <= MOST and len(watch.counts) > 50
    assert_every_answer_has_one_row(stack, customers)
