"""A price that an administrator sets holds for the next request that ends after the workers' tick."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.price_rows import set_price
from tests import machine
from tests.live.asking import await_true
from tests.live.workers import at_every_worker

RATES = dict.fromkeys(("input", "output", "cache_write_5m", "cache_write_1h", "cache_read"), "1000")
IN_FORCE_S = 2.0


@pytest.fixture(scope="module")
def product_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"PROXY_DATABASE_URL": request.getfixturevalue("postgres_server").migrated(), "PROXY_WORKERS": "2"}


def test_a_new_price_is_in_force_in_every_worker_within_two_seconds(stack: Any) -> None:
    developer, workers = stack.developer(), at_every_worker([stack.product])
    first = [worker.ask(developer.access_key).request_id for worker in workers]
    row = {"model": "claude-sonnet-5-5", "from": "2026-11-24", "rates": RATES}
    stack.database.run(lambda c: set_price(c, row, datetime.now(UTC)))
    changed = machine.now()
    await_true(lambda: machine.now().since(changed) >= IN_FORCE_S)
    late = [worker.ask(developer.access_key).request_id for worker in workers]
    values = {line["request_id"]: line["context"]["list_value_micros"] for line in stack.product.access_lines()}
    assert [values[request_id] > 50 * values[first[0]] for request_id in late] == [True, True]
    assert values[first[0]] == values[first[1]] > 0
