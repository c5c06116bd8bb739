"""While PostgreSQL is away known keys are served as if nothing were the matter, and what is booked arrives when it is back."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from core.crypto import new_access_key
from tests import machine
from tests.live.customers import Customers, assert_every_answer_has_one_row
from tests.live.leaver import Line, eventually, rows_of
from tests.live.postgres import Postgres

AWAY_S = 8.0  # longer than every limit of ours on a call to the database
BUDGETS_OLD_S = 12.0  # by then what is known of a budget is old, and an allowance holds
SLOWEST_S = 2.5  # a call to a silent database takes 3 to 7
GRACEFUL_S = 20


class Outage(Protocol):
    """A way to go, and to come back."""

    def begin(self) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class Stopped:
    postgres: Postgres

    def begin(self) -> None:
        self.postgres.stop()

    def end(self) -> None:
        self.postgres.start()


@dataclass(frozen=True)
class Frozen:
    postgres: Postgres

    def begin(self) -> None:
        self.postgres.signal(signal.SIGSTOP)

    def end(self) -> None:
        self.postgres.signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def product_settings(postgres: Postgres) -> dict[str, str]:
    return {
        "PROXY_DATABASE_URL": postgres.url,
        "PROXY_GRANT_TTL_S": "1",
        "PROXY_BUDGET_AWAY_ALLOWANCE_USD": "1000",  # six customers without rest spend the usual 5 in seconds
        "PROXY_FLUSH_INTERVAL_S": "0.2",
        "PROXY_DRAIN_S": "2",
        "PROXY_GRACEFUL_TIMEOUT_S": str(GRACEFUL_S),
    }


@pytest.fixture(params=["stopped", "frozen"])
def outage(request: pytest.FixtureRequest, postgres: Postgres) -> Outage:
    return Stopped(postgres) if request.param == "stopped" else Frozen(postgres)


@contextlib.contextmanager
def away(outage: Outage) -> Iterator[None]:
    outage.begin()
    try:
        yield
    finally:
        outage.end()


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool


@pytest.fixture
def stack(running: Any) -> Any:
    """Starts with a database that this server knows to be there."""
    running.anthropic.reset()
    running.bedrock.reset()
    eventually(lambda: ready(running) == "ready")
    return running


def known_developer(stack: Any, *strategy: str, **more: Any) -> Any:
    """One who has been served: the server knows the key."""
    developer = stack.developer(*strategy, **more)
    eventually(lambda: answered(developer) == 200)
    return developer


def answered(developer: Any) -> int:
    with Line(developer.base_url) as line:
        line.ask().answer()
        return line.status


def ready(stack: Any) -> str:
    """The word of /ready, which must be 200 all the time."""
    with Line(stack.url) as line:
        word = json.loads(line.get("/ready").answer())["status"]
        assert line.status == 200
    return str(word)


def test_known_keys_are_served_strangers_asked_to_wait_and_nothing_booked_is_lost(
    stack: Any, clients: ThreadPoolExecutor, outage: Outage
) -> None:
    customers = Customers(clients, known_developer(stack))
    customers.come(6)
    customers.served_more(20)
    with away(outage):
        gone_at = time.monotonic()
        eventually(lambda: ready(stack) == "degraded")
        assert_strangers_are_turned_away(stack)
        eventually(lambda: time.monotonic() - gone_at > AWAY_S)
        customers.served_more(20)
        assert waiting_bytes(stack) > 0
    customers.served_more(20)
    customers.leave()
    assert customers.troubles == []
    assert_every_answer_has_one_row(stack, customers)
    eventually(lambda: ready(stack) == "ready")
    eventually(lambda: waiting_bytes(stack) == 0)
    assert customers.slowest_s < SLOWEST_S


def test_a_key_with_a_budget_waits_for_no_database_on_bedrock_and_has_its_allowance(
    stack: Any, clients: ThreadPoolExecutor, outage: Outage
) -> None:
    customers = Customers(clients, known_developer(stack, "bedrock_only", budget_micros=1_000_000_000))
    customers.come(6)
    customers.served_more(20)
    with away(outage):
        gone_at = time.monotonic()
        eventually(lambda: time.monotonic() - gone_at > BUDGETS_OLD_S)
        customers.served_more(30)
    customers.served_more(20)
    customers.leave()
    assert customers.troubles == []
    assert customers.slowest_s < SLOWEST_S
    assert_every_answer_has_one_row(stack, customers)


def waiting_bytes(stack: Any) -> int:
    return sum(path.stat().st_size for path in (stack.product.data_dir / "var" / "spool").glob("*.spool"))


def assert_strangers_are_turned_away(stack: Any) -> None:
    """A key that may be good is asked to come again; one that cannot be is refused as ever."""
    with Line(stack.product.base_url(new_access_key())) as unknown, Line(stack.product.base_url("ak_x")) as malformed:
        error = json.loads(unknown.ask().answer())["error"]
        malformed.ask().answer()
    assert (unknown.status, error["type"], int(unknown.headers["retry-after"]) > 0) == (503, "overloaded_error", True)
    assert malformed.status == 403


def test_a_server_that_ends_meanwhile_ends_in_time_and_its_successor_books_what_it_left(stack: Any, outage: Outage) -> None:
    developer = known_developer(stack)
    eventually(lambda: len(rows_of(stack, developer.access_key_id)) == 1)
    with away(outage):
        eventually(lambda: ready(stack) == "degraded")
        assert answered(developer) == 200
        told_at = machine.now()
        stack.product.signal(signal.SIGTERM)
        assert stack.product.wait(GRACEFUL_S) == 0
        assert machine.now().since(told_at) < 12
    stack.product.stop()
    stack.product.start()
    eventually(lambda: len(rows_of(stack, developer.access_key_id)) == 2)
