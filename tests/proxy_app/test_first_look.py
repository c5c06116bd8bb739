"""What a worker takes over from all others, thousands of rows at its start, holds up none of its streams."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert

from core.db import open_database
from core.settings import Settings
from core.spend_models import plan_windows
from tests import machine
from tests.core.patched import in_patched_process

KEYS = 2000
LONGEST_MS = 20  # of this thread's own work, whatever else the machine does; all of it together is some 100
PROGRAM = """
from core.db import cooperate_with_gevent, open_database
from core.settings import Settings
from proxy_app.plan_watch import PlanWatch
cooperate_with_gevent()
database = open_database(Settings(database_url=sys.argv[1]), pool_size=1)
between = []
def go_round():
    while True:
        before = time.thread_time()
        time.sleep(0.001)
        between.append(time.thread_time() - before)
PlanWatch(database, time.time).absorb()
gevent.spawn(go_round)
taken = gevent.spawn(PlanWatch(database, time.time).absorb).get()
time.sleep(0.002)
print(taken, int(max(between) * 1000))
"""


@pytest.fixture
def url(postgres_server: Any) -> Iterator[str]:
    made: str = postgres_server.migrated()
    database = open_database(Settings(database_url=made), pool_size=1)
    now = datetime.now(UTC)
    seen = {"status": "allowed", "claim": "", "in_use": False, "resets_at": None, "seen_at": now}
    windows = (("", None), ("5h", 0.5), ("7d", 0.25))
    rows = [
        {**seen, "access_key_id": f"key-{number}", "window": name, "utilization": share}
        for number in range(KEYS)
        for name, share in windows
    ]
    database.run(lambda connection: connection.execute(insert(plan_windows), rows))
    database.close()
    yield made
    postgres_server.drop(made)


def test_thousands_of_plans_are_taken_over_while_everything_else_goes_on(url: str) -> None:
    taken, longest_ms = map(int, in_patched_process(PROGRAM, url).split())
    assert taken == KEYS
    assert longest_ms < LONGEST_MS * machine.slowness()
