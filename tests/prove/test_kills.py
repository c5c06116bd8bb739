"""Thirty kills of workers and two stops of the database, under load: every finished request once in the ledger, none twice."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import anthropic_options, bedrock_options, install, running  # noqa: F401
from tests.live.customers import Customers, assert_every_answer_has_one_row
from tests.live.leaver import eventually, rows_of
from tests.live.postgres import Postgres

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1200)]

KILLS = 30
STOP_AFTER = (8, 20)  # kills
AWAY_S = 4.0
CLIENTS = 8


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    postgres = Postgres()
    yield postgres
    postgres.close()


@pytest.fixture(scope="module")
def product_settings(postgres: Postgres) -> dict[str, str]:
    return {"PROXY_DATABASE_URL": postgres.url, "PROXY_WORKERS": "2", "PROXY_FLUSH_INTERVAL_S": "0.5"}


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        yield pool


def kill_one(stack: Any, number: int) -> None:
    """By turns: the gunicorn master replaces it."""
    workers = eventually(lambda: len(stack.product.worker_pids()) == 2 and stack.product.worker_pids())
    victim = sorted(workers)[number % 2]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in stack.product.worker_pids())


@contextlib.contextmanager
def stopped(postgres: Postgres) -> Iterator[None]:
    postgres.stop()
    gone_at = time.monotonic()
    yield
    eventually(lambda: time.monotonic() - gone_at > AWAY_S)
    postgres.start()


def kill_and_stop(stack: Any, postgres: Postgres, customers: Customers) -> None:
    """New workers know no key while the database is away, so the kills go on beside the stops, not within them."""
    for number in range(KILLS):
        customers.served_more(15)
        kill_one(stack, number)
        if number in STOP_AFTER:
            customers.served_more(15)
            with stopped(postgres):
                kill_one(stack, number + 1)


def spool_is_empty(stack: Any) -> bool:
    return not any(size_of(path) for path in (stack.product.data_dir / "var" / "spool").glob("*.spool"))


def size_of(path: Path) -> int:
    """Of one that is gone meanwhile, because a worker has taken it over, nothing."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_every_finished_request_is_in_the_ledger_once(
    running: Any,  # noqa: F811
    postgres: Postgres,
    clients: ThreadPoolExecutor,
    capsys: pytest.CaptureFixture[str],
) -> None:
    customers = Customers(clients, running.developer(), patience_s=1100)
    customers.come(CLIENTS)
    kill_and_stop(running, postgres, customers)
    customers.served_more(15)
    customers.leave()
    assert_every_answer_has_one_row(running, customers)
    eventually(lambda: spool_is_empty(running))
    verdict = running.product.cli("ledger", "verify")
    rows = rows_of(running, customers.developer.access_key_id)
    unfinished = [row for row in rows if row.request_id not in set(customers.finished)]
    with capsys.disabled():
        lost = sum(row.error_type == "worker_lost" for row in rows)
        print(
            f"\n{KILLS + 2} kills, 2 stops: {len(customers.finished)} finished, {len(rows)} rows, {lost} of lost workers", end=""
        )
    assert (verdict["different"], verdict["spool"]["dead"], verdict["spool"]["damaged"]) == (0, 0, 0)
    assert len(unfinished) <= len(customers.troubles)
