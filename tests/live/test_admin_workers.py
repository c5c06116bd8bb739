"""The admin page with several workers on PostgreSQL: whichever answers, it is the same admin."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from core.crypto import hash_password
from tests.live.admin_browser import LiveBrowser, eventually

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def product_settings(postgres_server: Any) -> Iterator[dict[str, str]]:
    url = postgres_server.migrated()
    yield {
        "PROXY_DATABASE_URL": url,
        "PROXY_WORKERS": "2",
        "PROXY_ADMIN_PASSWORD_HASH": hash_password(PASSWORD, rounds=5),
    }
    postgres_server.drop(url)


def test_a_session_is_good_in_every_worker_and_both_are_on_the_page(stack: Any) -> None:
    browser = LiveBrowser(stack.url)
    assert browser.sign_in("admin", PASSWORD).status == 303
    pids = stack.product.worker_pids()
    answered: set[str] = set()

    def both_answered() -> bool:
        """Each page says which process made it."""
        answered.add(browser.get("/admin/system").text.partition("answers you")[0].rpartition(", ")[2].split()[0])
        return answered == {str(pid) for pid in pids}

    assert len(pids) == 2
    assert eventually(lambda: all(f", {pid}" in browser.get("/admin/system").text for pid in pids))
    assert eventually(both_answered)


def test_a_killed_worker_stays_in_sight_beside_its_successor(stack: Any) -> None:
    browser = LiveBrowser(stack.url)
    browser.sign_in("admin", PASSWORD)
    killed = stack.product.worker_pids()[0]
    assert eventually(lambda: f", {killed}" in browser.get("/admin/system").text)
    os.kill(killed, signal.SIGKILL)

    def is_replaced() -> bool:
        return len(stack.product.worker_pids()) == 2 and killed not in stack.product.worker_pids()

    assert eventually(is_replaced)
    assert eventually(lambda: all(f", {pid}" in browser.get("/admin/system").text for pid in stack.product.worker_pids()))
    assert f", {killed}" in browser.get("/admin/system").text
