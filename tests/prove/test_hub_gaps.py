"""With 1,000 users, 10,000 keys and a million requests: no page, file or answer of the API holds a worker's event loop, and
with it every stream of that worker, for long.

Measured inside the worker, without what other programs on the machine take (tests/live/hub_gaps.py).
`pytest -m prove tests/prove/test_hub_gaps.py -s` prints the table of docs/performance.md. CROWD_RECORDS makes a smaller one.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests import machine
from tests.live.admin_browser import LiveBrowser
from tests.live.hub_gaps import Gaps
from tests.live.watched import watched_product
from tests.prove import crowd
from tests.prove.test_admin_speed import PAGES

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1200)]

PASSWORD = "correct horse battery staple"
ROUNDS = 5
AIM_MS, MUST_MS, FIRST_MS = 10.0, 20.0, 100.0  # the first opening in a worker has its SQL compiled, too
FILES = (
    "/admin/api",
    "/admin/api/openapi.json",
    "/admin/users.csv",
    "/admin/keys.csv",
    "/admin/sessions.csv",
    "/admin/usage.csv?range=30d&group=key",
    "/admin/usage.csv?range=3h&group=user",
)
QUESTIONS = (
    "/dashboard",
    "/usage?range=30d&group=key&top=100",
    "/usage?range=3h&group=user&top=200",
    "/users?limit=200",
    "/access-keys?limit=200",
    "/requests?limit=200",
    "/audit?limit=200",
    "/circuits",
)


@dataclass(frozen=True)
class House:
    """A running product of that size, somebody who is signed in, and what its worker notes."""

    browser: LiveBrowser
    token: str
    gaps: Gaps

    def longest_ms(self, ask: Callable[[], None]) -> list[float]:
        return sorted(self.gap_of(ask) for _ in range(ROUNDS))

    def gap_of(self, ask: Callable[[], None]) -> float:
        began = time.monotonic()
        ask()
        time.sleep(0.05)  # what is noted comes a moment later
        return self.gaps.longest_ms(began, time.monotonic())

    def show(self, path: str) -> None:
        assert self.browser.get(path.replace(" ", "%20")).status == 200

    def answer(self, path: str) -> None:
        bearer = {"authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.browser.url}/admin/api/v1{path}", headers=bearer)
        with urllib.request.urlopen(request, timeout=60) as answered:
            answered.read()


@pytest.fixture(scope="module")
def house(postgres_server: Any, crowded: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    url = postgres_server.copy_of(crowded)
    folder = tmp_path_factory.mktemp("house")
    with watched_product(folder, crowd.settings_for(url, PASSWORD, folder)) as (product, gaps):
        browser = LiveBrowser(product.url)
        browser.sign_in("admin", PASSWORD)
        yield House(browser, token(product.url), gaps)
    postgres_server.drop(url)


def token(url: str) -> str:
    asked = json.dumps({"username": "admin", "password": PASSWORD}).encode()
    request = urllib.request.Request(f"{url}/admin/api/v1/token", asked, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        issued: str = json.load(answer)["access_token"]
    return issued


@pytest.mark.parametrize("path", [*PAGES, *FILES])
def test_a_page_or_file_holds_the_event_loop_for_a_moment_only(
    house: House, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first_ms = house.gap_of(lambda: house.show(path))
    judge(path, first_ms, house.longest_ms(lambda: house.show(path)), capsys)


@pytest.mark.parametrize("path", QUESTIONS)
def test_an_answer_of_the_api_holds_the_event_loop_for_a_moment_only(
    house: House, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first_ms = house.gap_of(lambda: house.answer(path))
    judge(f"GET {path}", first_ms, house.longest_ms(lambda: house.answer(path)), capsys)


def judge(name: str, first_ms: float, gaps_ms: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """By the median round: a round in which the flusher or garbage collection falls into it is told, not judged."""
    middle, longest = gaps_ms[ROUNDS // 2], gaps_ms[-1]
    with capsys.disabled():
        print(
            f"\n| {name} | {middle:.1f} ms | {longest:.1f} ms | {first_ms:.1f} ms |{' over the aim' if middle >= AIM_MS else ''}",
            end="",
        )
    assert middle < MUST_MS * machine.slowness()
    assert first_ms < FIRST_MS * machine.slowness()
