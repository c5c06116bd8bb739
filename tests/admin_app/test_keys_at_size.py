"""With 1,000 users and 10,000 keys: what the pages of keys cost, on SQLite and PostgreSQL.

Queries are counted exactly. Of time there are two bounds, both of the best of a few tries: what a page costs this process (all
of it on SQLite) stays under half of the specification's aim of 150 ms, and the clock under its requirement of 1 s, for other
tests run beside this one and share its processors. Measured: 9 to 31 ms of the former.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import event, insert, text

from admin_app.app import AdminApp
from core.db import Database
from core.ledger import write_batch
from core.models import access_keys, bedrock_keys, users
from core.record import RequestRecord
from core.spend_models import spend_monthly
from tests import machine
from tests.admin_app.browser import Browser
from tests.admin_app.whole_app import PASSWORD, admin_app
from tests.core.office import NOW

MOST_QUERIES, MOST_CPU_S, MOST_S, TRIES = 8, 0.075, 1.0, 5
PATHS = (
    "/admin/keys",
    "/admin/keys?sort=spend",
    "/admin/keys?sort=last_seen",
    "/admin/keys?search=user+0777",
    "/admin/keys?status=expired&sort=expiry",
    "/admin/users/usr_0777",
    "/admin/keys/key_07773",
)


@pytest.fixture
def app(database: Database, database_url: str, tmp_path: Path) -> Iterator[AdminApp]:
    times = {"created_at": NOW, "updated_at": NOW}
    plain = {"strategy": "plan_first", "status": "active", **times}
    people = [{"id": f"usr_{n:04}", "name": f"user {n:04}", **plain} for n in range(1000)]
    keys = [_key(n) | times for n in range(10_000)]
    spent = [{"month": "2026-05", "access_key_id": key["id"], "user_id": key["user_id"], "cost_micros": 7} for key in keys]
    attached = [_bedrock_key(n) | times for n in range(1000)]
    for table, rows in ((users, people), (access_keys, keys), (spend_monthly, spent), (bedrock_keys, attached)):
        database.run(lambda c, write=(table, rows): c.execute(insert(write[0]), write[1]))  # type: ignore[misc]
    records = [RequestRecord(f"req_{n:026d}", NOW.timestamp() - n, "usr_0777", "key_07773", status=200) for n in range(2000)]
    database.run(lambda c: write_batch(c, records))
    database.run(lambda c: c.execute(text("ANALYZE")))  # as PostgreSQL does by itself within a minute
    app = admin_app(database_url, tmp_path)
    yield app
    app.close()


def _key(n: int) -> dict[str, object]:
    whose = {"id": f"key_{n:05}", "user_id": f"usr_{n // 10:04}", "prefix": f"ak_{n:06}", "secret_hash": f"hash {n}"}
    expires_at = NOW if n % 7 == 0 else None
    return {**whose, "name": f"key {n}", "last_seen_at": NOW if n % 3 else None, "expires_at": expires_at}


def _bedrock_key(n: int) -> dict[str, object]:
    place = {"region": "us-east-1", "residency": "global", "sealed": b"x", "health": "healthy"}
    return {"id": f"bdk_{n:04}", "user_id": f"usr_{n:04}", **place}


def test_pages_of_keys_take_few_queries_and_little_time(app: AdminApp) -> None:
    browser = Browser(app)
    browser.sign_in("admin", PASSWORD)

    found = {path: measured(app, browser, path) for path in PATHS}

    assert {path: each for path, each in found.items() if not 1 <= each.queries <= MOST_QUERIES} == {}
    slowness = machine.slowness()
    assert {path: each for path, each in found.items() if each.cpu_s / slowness > MOST_CPU_S or each.wall_s > MOST_S} == {}


def test_every_key_is_in_the_file_once(app: AdminApp) -> None:
    browser = Browser(app)
    browser.sign_in("admin", PASSWORD)

    lines = browser.get("/admin/keys.csv").text.strip().split("\r\n")

    assert (len(lines), len({line.partition(",")[0] for line in lines})) == (10_001, 10_001)


@dataclass(frozen=True)
class Cost:
    """How many queries a page takes, and the shortest of a few tries."""

    queries: int
    cpu_s: float
    wall_s: float


def measured(app: AdminApp, browser: Browser, path: str) -> Cost:
    counted: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        counted.extend([] if statement.startswith("BEGIN") else [statement])

    event.listen(app._database._engine, "before_cursor_execute", count)
    tries = [timed(browser, path) for _ in range(TRIES)]
    event.remove(app._database._engine, "before_cursor_execute", count)
    return Cost(len(counted) // TRIES, min(cpu for cpu, _ in tries), min(wall for _, wall in tries))


def timed(browser: Browser, path: str) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    answer = browser.get(path)
    took = time.process_time() - cpu, time.perf_counter() - wall
    assert (answer.status_code, "7773" in answer.text or "?" in path or path == "/admin/keys") == (200, True)
    return took
