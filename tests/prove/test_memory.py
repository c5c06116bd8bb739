"""A worker that has been asked all kinds of things by very many is as large as before: what clients choose (keys, logins, models,
sessions, paths, search words) is remembered up to a bound, and nothing is kept of who left.

One worker on SQLite. Every word that a client may choose is a new one each time. The first rounds fill what is bounded; of the
rest nothing may stay. Prints its figures: `pytest -m prove tests/prove/test_memory.py -s`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from core.crypto import hash_password, new_access_key
from tests.live.admin_browser import LiveBrowser
from tests.live.asking import exchange
from tests.live.conftest import install, running  # noqa: F401
from tests.live.leaver import Line

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1200)]

PASSWORD = "correct horse battery staple"
CLIENTS, ROUND = 8, 100  # times every kind
FILLING, STEADY = 18, 10  # rounds
STAYS_MB = 1.5  # of 1,000 of each kind, as much as a kilobyte and a half of each of one kind
FAULTS = ("error_500", "error_503", "overloaded", "cut_midstream", "eof_before_headers")
SLOW = {"x-sandbox-fault": "slow_stream;delay=0.2"}
PAGES = ("/admin", "/admin/requests?search=", "/admin/users?search=", "/admin/keys.csv?search=", "/admin/sessions?search=")


@pytest.fixture(scope="module")
def anthropic_options() -> tuple[str, ...]:
    return ()


@pytest.fixture(scope="module")
def bedrock_options() -> tuple[str, ...]:
    return ()


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    hashed = hash_password(PASSWORD, rounds=4)
    return {"PROXY_WORKERS": "1", "PROXY_FLUSH_INTERVAL_S": "0.5", "PROXY_ADMIN_PASSWORD_HASH": hashed}


@pytest.fixture
def everybody(running: Any) -> Iterator[Everybody]:  # noqa: F811
    browser = LiveBrowser(running.url)
    assert browser.sign_in("admin", PASSWORD).status == 303
    ways = ("plan_first", "plan_first", "bedrock_only")
    calm, stormy, paying = (running.developer(strategy=way).base_url for way in ways)
    with ThreadPoolExecutor(CLIENTS) as pool:
        yield Everybody(pool, running.url, calm, stormy, paying, browser.cookies)


def word() -> str:
    return uuid4().hex


@dataclass
class Everybody:
    """Clients, and how they were answered: `answers` counts (kind, status)."""

    pool: ThreadPoolExecutor
    url: str
    calm: str
    stormy: str
    paying: str
    cookies: dict[str, str]
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    _turn: Iterator[int] = field(default_factory=count)

    def come(self) -> None:
        kinds = self.kinds * ROUND
        statuses = self.pool.map(lambda kind: kind(), kinds)
        self.answers.update((kind.__name__, status) for kind, status in zip(kinds, statuses, strict=True))

    @property
    def kinds(self) -> tuple[Callable[[], int], ...]:
        served = (self.streamed, self.whole, self.logged_in_anew, self.in_trouble, self.paid, self.of_a_new_model, self.counted)
        refused = (self.without_a_key, self.unreadable, self.of_another_path, self.astray, self.with_a_wrong_token)
        return (*served, *refused, self.gone_early, self.gone_midway, self.with_a_link, self.reading)

    def streamed(self) -> int:
        return asked(self.calm, {"x-claude-code-session-id": str(uuid4()), "user-agent": f"claude-cli/{word()}"})

    def whole(self) -> int:
        return asked(self.calm, {"x-claude-code-session-id": str(uuid4()), "x-claude-code-agent-id": word()}, stream=False)

    def logged_in_anew(self) -> int:
        return asked(self.calm, {"x-api-key": f"sk-ant-{word()}"})

    def in_trouble(self) -> int:
        fault = FAULTS[next(self._turn) % len(FAULTS)]
        return asked(self.stormy, {"x-sandbox-fault": fault, "x-api-key": f"sk-ant-{word()}"})

    def paid(self) -> int:
        return asked(self.paying, {"x-claude-code-session-id": str(uuid4())})

    def of_a_new_model(self) -> int:
        return asked(self.paying, model=f"claude-opus-{word()}")

    def counted(self) -> int:
        body = b'{"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "%b"}]}' % word().encode()
        return posted(self.paying, "/v1/messages/count_tokens", body)

    def without_a_key(self) -> int:
        return asked(f"{self.url}/ak/{new_access_key()}")

    def unreadable(self) -> int:
        return posted(self.calm, "/v1/messages", b"{" + word().encode())

    def of_another_path(self) -> int:
        return posted(self.calm, f"/v1/{word()}", b"{}")

    def astray(self) -> int:
        return exchange(f"{self.url}/{word()}", "GET", None, {}).status

    def with_a_wrong_token(self) -> int:
        return exchange(f"{self.url}/admin/api/v1/users", "GET", None, {"authorization": f"Bearer {word()}"}).status

    def gone_early(self) -> int:
        with Line(self.calm) as line:
            line.ask(headers=SLOW).leave("rst")
        return 0

    def gone_midway(self) -> int:
        with Line(self.calm) as line:
            line.ask(headers=SLOW).read_head().await_text(b"message_start")
            line.leave("rst")
            return line.status

    def with_a_link(self) -> int:
        return exchange(f"{self.url}/claim/{word()[:22]}", "GET", None, {}).status

    def reading(self) -> int:
        path = PAGES[next(self._turn) % len(PAGES)]
        page = LiveBrowser(self.url, cookies=dict(self.cookies)).get(path + (word() if path.endswith("=") else ""))
        return 401 if "<title>Sign in" in page.text else page.status


def asked(base_url: str, headers: dict[str, str] | None = None, **changes: Any) -> int:
    with Line(base_url) as line:
        line.ask(headers=headers, **changes).answer()
        return line.status


def posted(base_url: str, path: str, body: bytes) -> int:
    with Line(base_url) as line:
        line.post(path, body).answer()
        return line.status


@dataclass(frozen=True)
class Size:
    """Of a process: `own_mb` is memory that no other process shares, in units of 2**20 bytes."""

    own_mb: float
    files: int


def size_of(pid: int) -> Size:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return Size(int(lines["Private_Dirty"].split()[0]) / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir())))


REFUSED = {
    "without_a_key": 403,
    "unreadable": 400,
    "of_another_path": 404,
    "astray": 403,
    "with_a_wrong_token": 401,
    "with_a_link": 404,
}
UNANSWERED = {"gone_early": 0}


def test_what_strangers_choose_does_not_stay(running: Any, everybody: Everybody, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    [pid] = running.product.worker_pids()
    sizes = [size_of(pid)]
    for _ in range(FILLING + STEADY):
        everybody.come()
        sizes.append(size_of(pid))
    full, at_last = sizes[FILLING], sizes[-1]
    with capsys.disabled():
        asked_of_it = everybody.answers.total()
        print(f"\n{asked_of_it} requests: {' '.join(f'{size.own_mb:.1f}' for size in sizes)} MB", end="")

    expected = dict.fromkeys((kind.__name__ for kind in everybody.kinds), 200) | REFUSED | UNANSWERED
    assert everybody.answers == Counter(dict.fromkeys(expected.items(), ROUND * (FILLING + STEADY)))
    assert running.product.worker_pids() == [pid]
    assert at_last.own_mb - full.own_mb < STAYS_MB
    assert at_last.files - full.files < 2 * CLIENTS
