"""A price that an administrator sets holds for the next request that ends after the workers' tick."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.price_rows import set_price
from tests import machine
from tests.live.asking import ask

RATES = dict.fromkeys(("input", "output", "cache_write_5m", "cache_write_1h", "cache_read"), "1000")
IN_FORCE_S = 2.0


@pytest.fixture(scope="module")
def product_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"PROXY_DATABASE_URL": request.getfixturevalue("postgres_server").migrated(), "PROXY_WORKERS": "2"}


def test_a_new_price_is_in_force_in_every_worker_within_two_seconds(stack: Any) -> None:
    developer = stack.developer()
    first = ask(developer).request_id
    row = {"model": "claude-sonnet-5-5", "from": "2026-11-24", "rates": RATES}
    stack.database.run(lambda c: set_price(c, row, datetime.now(UTC)))
    changed, asked = machine.now(), dict[str, float]()
    while (asked_after := machine.now().since(changed)) < IN_FORCE_S + 1:
        asked[ask(developer).request_id] = asked_after
    values = {line["request_id"]: line["context"]["list_value_micros"] for line in stack.product.access_lines()}
    late = {values[request_id] for request_id, asked_after in asked.items() if asked_after >= IN_FORCE_S}
    assert len(late) == 1
    assert late.pop() > 50 * values[first]
