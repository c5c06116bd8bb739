"""Readers of the heaviest pages, all the time, and a developer at work: what the developer feels of them."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from core.crypto import hash_password
from sandbox.client import Sandbox
from sandbox.product import Product
from tests.live.admin_browser import LiveBrowser
from tests.prove import crowd

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]

PASSWORD = "correct horse battery staple"
READERS, ROUNDS, REQUESTS = 4, 4, 40
HEAVY = ("/admin", "/admin?range=7d", "/admin/usage?range=30d&group=user", "/admin/users?sort=spend", "/admin/requests?fault=any")
MOST_ADDED_MS = 50.0
_BODY = {"model": "claude-sonnet-5-5", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}
_HEADERS = {"content-type": "application/json", "x-api-key": "sk-ant-sandbox", "anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def url(postgres_server: Any) -> Iterator[str]:
    made = postgres_server.migrated()
    crowd.load(made, int(os.environ.get("CROWD_RECORDS", crowd.RECORDS)))
    yield made
    postgres_server.drop(made)


def test_readers_of_reports_hold_no_developer_up(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {
        "PROXY_DATABASE_URL": url,
        "PROXY_MAX_USERS": "2000",
        "PROXY_ADMIN_PASSWORD_HASH": hash_password(PASSWORD, rounds=4),
    }
    quiet, busy, pages = list[float](), list[float](), [0]
    with Sandbox("anthropic") as plan, Product(tmp_path, {**settings, "PROXY_PLAN_URL": plan.url}) as product:
        ask = asking(product.base_url(product.add_developer("dev", bedrock_secret="")), product.start)
        for _ in range(ROUNDS):
            quiet += [ask() for _ in range(REQUESTS)]
            with readers(product.url, pages):
                busy += [ask() for _ in range(REQUESTS)]

    with capsys.disabled():
        print(f"\n| without readers | {told(quiet)} |\n| {READERS} readers, {pages[0]} pages | {told(busy)} |", end="")
    assert pages[0] > ROUNDS * READERS
    assert p95(busy) < p95(quiet) + MOST_ADDED_MS


def asking(base_url: str, start: Callable[[], None]) -> Callable[[], float]:
    """One request to the end, in milliseconds."""
    start()

    def ask() -> float:
        request = urllib.request.Request(f"{base_url}/v1/messages", json.dumps(_BODY).encode(), _HEADERS)
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        return (time.perf_counter() - began) * 1000

    ask()
    return ask


@contextmanager
def readers(url: str, pages: list[int]) -> Iterator[None]:
    done = threading.Event()
    threads = [threading.Thread(target=partial(read, url, number, pages, done)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    yield
    done.set()
    for thread in threads:
        thread.join()


def read(url: str, number: int, pages: list[int], done: threading.Event) -> None:
    browser = LiveBrowser(url)
    browser.sign_in("admin", PASSWORD)
    while not done.is_set():
        assert browser.get(HEAVY[(number + pages[0]) % len(HEAVY)]).status == 200
        pages[0] += 1


def p95(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.95) - 1]


def told(took: list[float]) -> str:
    return f"p50 {median(took):.1f} ms | p95 {p95(took):.1f} ms"
