"""What an administrator changes is in force in every worker of two servers within two seconds, the database under load.

Two gunicorn servers with two workers each on one PostgreSQL, which four sessions keep busy. Each worker is asked over a
connection of its own, without a break, from before the change.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from core.access import Limits
from core.access_keys import change_key, revoke_key, rotate_key
from core.local_files import ensure_local
from core.price_rows import set_price
from core.types import Strategy
from core.users import change_user, deactivate_user, delete_user
from sandbox.product import Product
from tests.live.asking import MODEL
from tests.live.two_servers import database_of_both as database_of_both
from tests.live.two_servers import neighbour as neighbour
from tests.live.workers import AtWorker, Seen, at_every_worker, database_under_load, seconds_until

log = logging.getLogger(__name__)  # the figures: pytest -o log_cli=true --log-level=INFO

IN_FORCE_S = 2.0
GRACE_S = 4.0
LOG_BYTES = 200_000


@pytest.fixture(scope="module")
def product_settings(database_of_both: str) -> dict[str, str]:
    return {"PROXY_DATABASE_URL": database_of_both, "PROXY_WORKERS": "2"}


@pytest.fixture(scope="module", autouse=True)
def _load(running: Any, neighbour: Product, database_of_both: str) -> Iterator[None]:
    with database_under_load(database_of_both):
        yield


@pytest.fixture
def workers(running: Any, neighbour: Product) -> list[AtWorker]:
    found = at_every_worker([running.product, neighbour])
    assert len({worker.pid for worker in found}) == 4
    return found


def now() -> datetime:
    return datetime.now(UTC)


def is_refused(seen: Seen) -> bool:
    return seen.status == 403


def is_from_bedrock(seen: Seen) -> bool:
    return seen == Seen(200, "bedrock")


def is_over_the_limit(seen: Seen) -> bool:
    return seen.status == 429


def options(developer: Any, **values: Any) -> Callable[[Any], Any]:
    def change(connection: Any) -> Any:
        return change_key(connection, developer.access_key_id, lambda old: replace(old, **values), Limits(1000, 10), now())

    return change


def bedrock_user(developer: Any) -> Callable[[Any], Any]:
    def change(connection: Any) -> Any:
        return change_user(connection, developer.user_id, lambda old: replace(old, strategy=Strategy.BEDROCK_ONLY), now())

    return change


CHANGES: dict[str, tuple[Callable[[Any], Callable[[Any], Any]], Callable[[Seen], bool]]] = {
    "a key revoked": (lambda d: lambda c: revoke_key(c, d.access_key_id, now()), is_refused),
    "a user deactivated": (lambda d: lambda c: deactivate_user(c, d.user_id, now()), is_refused),
    "a user deleted": (lambda d: lambda c: delete_user(c, d.user_id, now()), is_refused),
    "a user's strategy": (bedrock_user, is_from_bedrock),
    "a key's strategy": (lambda d: options(d, strategy=Strategy.BEDROCK_ONLY), is_from_bedrock),
    "a key's limit": (lambda d: options(d, requests_per_minute=1), is_over_the_limit),
}


def user_budget(developer: Any) -> Callable[[Any], Any]:
    def change(connection: Any) -> Any:
        return change_user(
            connection, developer.user_id, lambda old: replace(old, profile=replace(old.profile, monthly_budget_micros=1)), now()
        )

    return change


BUDGETS = {"a user's budget": user_budget, "a key's budget": lambda d: options(d, monthly_budget_micros=1)}


@pytest.mark.parametrize("change", BUDGETS)
def test_a_budget_that_is_lowered_is_in_force_in_every_worker_within_two_seconds(
    stack: Any, workers: list[AtWorker], change: str
) -> None:
    developer = stack.developer("bedrock_only", budget_micros=10**9)
    took = seconds_until(
        workers, developer.access_key, lambda: stack.database.run(BUDGETS[change](developer)), lambda seen: seen.status == 402
    )

    log.info("%s: %s s", change, took)
    assert len(took) == 4
    assert max(took) < IN_FORCE_S, took


def test_a_new_price_is_in_force_in_every_worker_within_two_seconds(
    stack: Any, workers: list[AtWorker], neighbour: Product
) -> None:
    developer, products = stack.developer("bedrock_only"), (stack.product, neighbour)
    rates = dict.fromkeys(("input", "output", "cache_write_5m", "cache_write_1h", "cache_read"), "1000")
    row = {"model": MODEL, "from": "2026-11-24", "rates": rates}
    old = cost_of(products, workers[0].ask(developer.access_key))
    took = seconds_until(
        workers,
        developer.access_key,
        lambda: stack.database.run(lambda c: set_price(c, row, now())),
        lambda seen: cost_of(products, seen) > 50 * old,
    )

    log.info("a price: %s s", took)
    assert (len(took), old > 0) == (4, True)
    assert max(took) < IN_FORCE_S, took


def cost_of(products: Iterable[Product], seen: Seen) -> int:
    """As the server's log line of it says, which is written before the answer's last bytes."""
    ends = b"".join(product.log_path.read_bytes()[-LOG_BYTES:] for product in products)
    lines = [orjson.loads(line) for line in ends.splitlines() if seen.request_id.encode() in line]
    return int(lines[-1]["context"]["cost_micros"])


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_in_force_in_every_worker_within_two_seconds(stack: Any, workers: list[AtWorker], change: str) -> None:
    developer, (make, is_new) = stack.developer(), CHANGES[change]
    took = seconds_until(workers, developer.access_key, lambda: stack.database.run(make(developer)), is_new)

    log.info("%s: %s s", change, took)
    assert len(took) == 4
    assert max(took) < IN_FORCE_S, took


def test_the_old_secret_of_a_rotated_key_is_good_for_its_grace_in_every_worker_and_for_two_seconds_more_at_most(
    stack: Any, workers: list[AtWorker]
) -> None:
    developer, secret = stack.developer(), ensure_local(stack.settings).server_secret

    def rotate(connection: Any) -> Any:
        return rotate_key(connection, developer.access_key_id, secret, GRACE_S, now())

    def is_over(seen: Seen) -> bool:
        refused_at.extend([time.monotonic()] * is_refused(seen))
        return is_refused(seen)

    began, refused_at = time.monotonic(), list[float]()
    took = seconds_until(workers, developer.access_key, lambda: stack.database.run(rotate), is_over)
    log.info("a rotation's grace: %s s", took)
    assert min(refused_at) - began > GRACE_S - 0.05
    assert max(took) < GRACE_S + IN_FORCE_S, took


def test_an_earlier_expiry_is_in_force_in_every_worker(stack: Any, workers: list[AtWorker]) -> None:
    developer = stack.developer()
    expire = options(developer, expires_at=now() + timedelta(seconds=GRACE_S))

    took = seconds_until(workers, developer.access_key, lambda: stack.database.run(expire), is_refused)
    log.info("an earlier expiry: %s s", took)
    assert max(took) < GRACE_S + IN_FORCE_S, took


def test_a_new_key_is_good_in_every_worker_at_once(stack: Any, workers: list[AtWorker]) -> None:
    developer = stack.developer()

    assert {worker.ask(developer.access_key).status for worker in workers} == {200}
