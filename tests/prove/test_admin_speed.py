"""With 1,000 users, 10,000 keys and a million requests: every page and every API question is quick, with few queries, and the
proxy does not feel them.

`pytest -m prove tests/prove/test_admin_speed.py -s` prints the tables of docs/performance.md. CROWD_RECORDS makes a smaller one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from admin_app import (
    access_key_operations,
    audit_operations,
    bedrock_key_operations,
    circuit_operations,
    claude_session_operations,
    dashboard_operations,
    model_operations,
    price_operations,
    request_operations,
    system_operations,
    usage_operations,
    user_operations,
)
from admin_app.app import AdminApp, Surroundings
from admin_app.fields import from_texts
from admin_app.operation import Offer, Work, perform
from core.actor import Role
from core.crypto import LocalVault, hash_password
from core.db import Database, open_database
from core.heartbeat import Load, Worker, WorkerSeen
from core.key_list import KeySort
from core.local_files import LocalSecrets
from core.log import AccessLog, LineWriter
from core.settings import Settings
from tests import machine
from tests.admin_app.browser import Browser
from tests.admin_app.counting import counted
from tests.admin_app.desk import Desk, Probe, an_actor
from tests.prove import crowd

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1200)]

PASSWORD = "correct horse battery staple"
ROUNDS = 20
MOST_QUERIES = 8
# Asserted is what the requirements say must be: pages in a second, the API in 200 ms; of the best of a few tries, on a machine as
# quick as the one they were set on (tests/machine.py). The aims are told beside what was measured, and judged on a quiet machine
# (docs/performance.md).
PAGE_MS, API_MS, TRIES = 1000.0, 200.0, 3
PAGE_AIM_MS, API_AIM_MS = 150.0, 50.0
DEEPEST = 250  # pages of 200
LIKE_THE_FIRST = 2.0
_USER, _KEY, _BEDROCK_KEY, _REQUEST = "usr_7", "key_000070", "bk_7", f"req_{1234:026d}"
_SESSION = "session-00000017"
_SESSION_KEY = f"key_{17 * 7919 % crowd.USERS * 10 + 17 % 3:06d}"
PAGES = (
    "/admin",
    "/admin?range=today",
    "/admin?range=7d",
    "/admin/usage",
    "/admin/usage?range=30d&group=user",
    "/admin/usage?range=30d&group=key&measure=cost",
    "/admin/usage?range=3h&group=model",
    "/admin/usage?range=24h&user=user 0007",
    "/admin/users",
    "/admin/users?search=99&sort=spend",
    "/admin/users/new",
    f"/admin/users/{_USER}",
    "/admin/keys",
    "/admin/keys?sort=last_seen",
    f"/admin/keys/{_KEY}",
    "/admin/sessions",
    "/admin/sessions?answered=fallback",
    "/admin/sessions?answered=errors",
    f"/admin/sessions?user={_USER}",
    f"/admin/sessions?key={_KEY}",
    f"/admin/sessions/{_SESSION}?key={_SESSION_KEY}",
    "/admin/requests",
    f"/admin/requests?user_id={_USER}",
    "/admin/requests?fault=any",
    "/admin/requests?status=5xx",
    f"/admin/requests/{_REQUEST}",
    "/admin/circuits",
    "/admin/prices",
    "/admin/models",
    "/admin/audit",
    "/admin/system",
)
_MODULES = (
    access_key_operations,
    audit_operations,
    bedrock_key_operations,
    circuit_operations,
    claude_session_operations,
    dashboard_operations,
    model_operations,
    price_operations,
    request_operations,
    system_operations,
    usage_operations,
    user_operations,
)
_IDS = {
    "session_id": _SESSION,
    "user_id": _USER,
    "key_id": _KEY,
    "access_key_id": _KEY,
    "bedrock_key_id": _BEDROCK_KEY,
    "request_id": _REQUEST,
}
QUESTIONS = [offer for module in _MODULES for offer in module.OFFERS if offer.method == "GET"]


@dataclass(frozen=True)
class Measured:
    """`cpu_ms`: what this process and the database worked for one, on average, whoever else is at work."""

    name: str
    queries: int
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    size: int

    def __str__(self) -> str:
        times = f"{self.p50_ms:.0f} ms | {self.p95_ms:.0f} ms | {self.cpu_ms:.0f} ms"
        return f"| {self.name} | {self.queries} | {times} | {self.size / 1000:.0f} kB |"


@pytest.fixture(scope="module")
def url(postgres_server: Any, crowded: str) -> Iterator[str]:
    copied = postgres_server.copy_of(crowded)
    yield copied
    postgres_server.drop(copied)


@pytest.fixture(scope="module")
def browser(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    hashed = hash_password(PASSWORD, rounds=4)
    settings = Settings(database_url=url, admin_password_hash=hashed)
    writer = LineWriter(os.open(tmp_path_factory.mktemp("log") / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND))
    around = Surroundings(_seen, lambda: "req_1", AccessLog(writer), LocalVault(bytes(32)), Probe())
    secrets = LocalSecrets("s" * 32, "a signing secret for tests, not for use", hashed)
    app = AdminApp(settings, secrets, open_database(settings, pool_size=1), around)
    signed_in = Browser(app)
    signed_in.sign_in("admin", PASSWORD)
    yield signed_in
    app.close()


@pytest.fixture(scope="module")
def house(url: str) -> Iterator[Database]:
    database = open_database(Settings(database_url=url), pool_size=1)
    yield database
    database.close()


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[Any], None]:
    def told(what: Any) -> None:
        with capsys.disabled():
            print(f"\n{what}", end="")

    return told


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_quick_with_few_queries(url: str, browser: Browser, path: str, tell: Callable[[Any], None]) -> None:
    def show() -> int:
        answer = browser.get(path)
        assert answer.status_code == 200
        return len(answer.content)

    measured = best_of(lambda: measure(url, path, show), PAGE_MS)
    tell(measured)
    if measured.p95_ms >= PAGE_AIM_MS:
        tell(f"over the aim of {PAGE_AIM_MS:.0f} ms")
    assert measured.queries <= MOST_QUERIES
    assert measured.p95_ms < PAGE_MS * machine.slowness()


@pytest.mark.parametrize("offer", QUESTIONS, ids=lambda offer: offer.operation.name)
def test_a_question_of_the_api_is_quick_with_few_queries(
    url: str, house: Database, offer: Offer, tell: Callable[[Any], None]
) -> None:
    takes = offer.operation.takes
    needed = {each.name for each in msgspec.structs.fields(takes) if each.required}
    taken = from_texts(takes, {name: text for name, text in _IDS.items() if name in needed})
    tools = Desk(house).tools

    def answer() -> int:
        work = Work(house, an_actor(Role.OWNER), _now(), tools)
        return len(msgspec.json.encode(perform(offer.operation, work, taken)))

    measured = best_of(lambda: measure(url, f"GET {offer.path}", answer), API_MS)
    tell(measured)
    if measured.p95_ms >= API_AIM_MS:
        tell(f"over the aim of {API_AIM_MS:.0f} ms")
    assert measured.queries <= MOST_QUERIES
    assert measured.p95_ms < API_MS * machine.slowness()


DEEP = [("/access-keys", f"sort={sort}") for sort in KeySort] + [
    ("/requests", ""),
    ("/audit", ""),
    ("/bedrock-keys", ""),
    ("/users", ""),
    ("/claude-sessions", ""),
    ("/claude-sessions", "answered=errors"),
]


@pytest.mark.parametrize(("path", "query"), DEEP, ids=lambda each: each or "-")
def test_the_last_page_of_a_long_list_is_as_quick_as_the_first(
    url: str, house: Database, path: str, query: str, tell: Callable[[Any], None]
) -> None:
    """Walked to in pages of 200; of a million requests not all. Compared is the work for both, measured one after the other."""
    [offer] = [each for each in QUESTIONS if each.path == path]
    takes, tools = offer.operation.takes, Desk(house).tools
    given = dict(each.split("=") for each in query.split("&") if each)

    def page(cursor: str) -> Any:
        work = Work(house, an_actor(Role.OWNER), _now(), tools)
        return perform(offer.operation, work, from_texts(takes, {**given, "limit": "200", "cursor": cursor}))

    cursor, pages = "", 1
    while (following := page(cursor).next_cursor) is not None and pages < DEEPEST:
        cursor, pages = following, pages + 1

    first = measure(url, f"GET {path}?{query}, page 1", lambda: len(msgspec.json.encode(page(""))))
    last = measure(url, f"GET {path}?{query}, page {pages}", lambda: len(msgspec.json.encode(page(cursor))))
    tell(f"{first}\n{last}")
    assert last.cpu_ms < LIKE_THE_FIRST * first.cpu_ms + API_AIM_MS / 5 * machine.slowness()
    queries = 2 if "total" in getattr(offer.operation.gives, "__struct_fields__", ()) else 1  # and how many there are
    assert (first.queries, last.queries) == (queries, queries)


def best_of(measured: Callable[[], Measured], most_ms: float) -> Measured:
    """The first that is under the bound, else the quickest: somebody else's work makes one slow, a slow product makes all."""
    tries = list[Measured]()
    while len(tries) < TRIES and not any(each.p95_ms < most_ms for each in tries):
        tries.append(measured())
    return min(tries, key=lambda each: each.p95_ms)


def measure(url: str, name: str, work: Callable[[], int]) -> Measured:
    with counted() as statements:
        size = work()
    began = time.process_time() + crowd.cpu_s(url)
    took = sorted(_timed(work) for _ in range(ROUNDS))
    cpu_ms = (time.process_time() + crowd.cpu_s(url) - began) * 1000 / ROUNDS
    return Measured(name, len(statements), took[ROUNDS // 2], took[int(ROUNDS * 0.95) - 1], cpu_ms, size)


def _timed(work: Callable[[], int]) -> float:
    """Milliseconds, without those in which the machine was held up."""
    began = machine.now()
    work()
    return machine.now().since(began) * 1000


def _now() -> datetime:
    return datetime.now(UTC)


def _seen() -> WorkerSeen:
    return WorkerSeen(Worker("wrk_1", "some-host", 42, _now()), Load("ready"), _now())
