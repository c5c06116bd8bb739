"""What a developer at work feels of administrators at work, in a house of 1,000 users and 10,000 keys: as heavy as a day gets,
and without any rest.

One worker, one stand-in, PostgreSQL and the readers on the same machine; quiet and busy rounds by turns, so that a machine
whose speed drifts is as slow for both. `pytest -m prove tests/prove/test_reports_beside_requests.py -s` prints the table of
docs/performance.md. CROWD_RECORDS makes a smaller house.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import pytest

from sandbox.client import Sandbox
from tests import machine
from tests.live.admin_browser import LiveBrowser
from tests.live.hub_gaps import Gaps
from tests.live.watched import WatchedProduct, watched_product
from tests.prove import crowd

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1200)]

PASSWORD = "correct horse battery staple"
READERS, ROUNDS, REQUESTS = 4, 6, 50
BETWEEN_REQUESTS_S = 0.1  # a developer's Claude Code; one after the other would measure throughput
HEAVY = ("/admin", "/admin?range=7d", "/admin/usage?range=30d&group=user", "/admin/users?sort=spend", "/admin/requests?fault=any")
DASHBOARD = "/admin?range=24h"
# How much later an answer may be. Aimed at is 5 ms (p95, at work), which is told, and judged on a quiet machine. What is asserted
# must hold on two cores that others use, too: there a quiet round alone differs from the next by as much as it takes; and on a
# slower machine, as much later as that is slower (tests/machine.py).
AIM_MS, AT_WORK_MS, WITHOUT_REST_MS = 5.0, 25.0, 50.0
LIKE_ITSELF = 2.0
_BODY = {"model": "claude-sonnet-5-5", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}
_HEADERS = {"content-type": "application/json", "x-api-key": "sk-ant-sandbox", "anthropic-version": "2023-06-01"}


@dataclass
class Office:
    """Administrators who read until they are told to stop. `pages` counts what they were shown."""

    url: str
    browsers: list[LiveBrowser]
    pages: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def open_every(self, browser: LiveBrowser, paths: tuple[str, ...], every_s: float, headers: dict[str, str]) -> None:
        reader, number = LiveBrowser(self.url, headers, dict(browser.cookies)), self.browsers.index(browser)
        self.done.wait(every_s * number / len(self.browsers))  # people do not click in step
        while not self.done.is_set():
            due = time.monotonic() + every_s
            assert reader.get(paths[number % len(paths)]).status == 200
            self.pages, number = self.pages + 1, number + 1
            self.done.wait(max(0.0, due - time.monotonic()))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Each opens a heavy page a second, with a dashboard open beside it that asks every 5 s."""
        yield from self._while(self._readers(1.0) + self._dashboards())

    @contextmanager
    def without_rest(self) -> Iterator[None]:
        """Each opens the next heavy page as soon as the last is there."""
        yield from self._while(self._readers(0.0))

    def _readers(self, every_s: float) -> list[threading.Thread]:
        return [threading.Thread(target=self.open_every, args=(each, HEAVY, every_s, {})) for each in self.browsers]

    def _dashboards(self) -> list[threading.Thread]:
        live = {"hx-request": "true", "hx-target": "live"}
        return [threading.Thread(target=self.open_every, args=(each, (DASHBOARD,), 5.0, live)) for each in self.browsers]

    def _while(self, threads: list[threading.Thread]) -> Iterator[None]:
        self.done.clear()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.done.set()
            for thread in threads:
                thread.join()


@dataclass(frozen=True)
class Scene:
    ask: Callable[[], float]
    office: Office
    gaps: Gaps

    def measure(self, busy: Callable[[], Any]) -> tuple[list[float], list[float], float]:
        """Milliseconds of requests while it is quiet, and while they read; how long the event loop stood still meanwhile."""
        quiet, beside, longest_ms = list[float](), list[float](), 0.0
        for _ in range(ROUNDS):
            quiet += self._requests()
            with busy():
                began = time.monotonic()
                beside += self._requests()
                longest_ms = max(longest_ms, self.gaps.longest_ms(began, time.monotonic()))
        return quiet, beside, longest_ms

    def _requests(self) -> list[float]:
        took = list[float]()
        for _ in range(REQUESTS):
            took.append(self.ask())
            time.sleep(max(0.0, BETWEEN_REQUESTS_S - took[-1] / 1000))
        return took


@pytest.fixture(scope="module")
def scene(postgres_server: Any, crowded: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    url = postgres_server.copy_of(crowded)
    folder = tmp_path_factory.mktemp("scene")
    settings = crowd.settings_for(url, PASSWORD, folder)
    with Sandbox("anthropic") as plan, watched_product(folder, {**settings, "PROXY_PLAN_URL": plan.url}) as (product, gaps):
        office = Office(product.url, [signed_in(product.url) for _ in range(READERS)])
        yield Scene(asking(product), office, gaps)
    postgres_server.drop(url)


def test_administrators_at_work_hold_no_developer_up(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    quiet, beside, longest_ms = scene.measure(scene.office.at_work)

    with capsys.disabled():
        tell(f"{READERS} administrators, each a heavy page a second and a dashboard", quiet, beside, scene.office.pages)
        is_missed = p95(beside) >= p95(quiet) + AIM_MS
        aim = f"the aim of {AIM_MS:.0f} ms more at p95 is {'missed' if is_missed else 'reached'}"
        print(f"\nthe event loop stood still for at most {longest_ms:.1f} ms; {aim}")
    assert scene.office.pages >= ROUNDS * READERS
    assert_like(quiet, beside, AT_WORK_MS)


def test_readers_without_any_rest_hold_a_developer_up_by_a_bound(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    before = scene.office.pages
    quiet, beside, longest_ms = scene.measure(scene.office.without_rest)

    with capsys.disabled():
        tell(f"{READERS} readers without rest", quiet, beside, scene.office.pages - before)
        print(f"\nthe event loop stood still for at most {longest_ms:.1f} ms")
    assert scene.office.pages - before > ROUNDS * READERS
    assert_like(quiet, beside, WITHOUT_REST_MS)


def signed_in(url: str) -> LiveBrowser:
    browser = LiveBrowser(url)
    browser.sign_in("admin", PASSWORD)
    return browser


def asking(product: WatchedProduct) -> Callable[[], float]:
    """One request to the end, in milliseconds."""
    base_url = product.base_url(product.add_developer("dev", bedrock_secret=""))

    def ask() -> float:
        request = urllib.request.Request(f"{base_url}/v1/messages", json.dumps(_BODY).encode(), _HEADERS)
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        return (time.perf_counter() - began) * 1000

    ask()
    return ask


def assert_like(quiet: list[float], beside: list[float], more_ms: float) -> None:
    more_ms *= machine.slowness()
    assert p95(beside) < p95(quiet) * LIKE_ITSELF + more_ms
    assert median(beside) < median(quiet) * LIKE_ITSELF + more_ms / 5


def p95(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.95) - 1]


def tell(who: str, quiet: list[float], beside: list[float], pages: int) -> None:
    print(f"\n| nobody | p50 {median(quiet):.1f} ms | p95 {p95(quiet):.1f} ms |")
    print(f"| {who} ({pages} pages) | p50 {median(beside):.1f} ms | p95 {p95(beside):.1f} ms |", end="")
