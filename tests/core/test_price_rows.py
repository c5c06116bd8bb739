"""Prices of administrators: laid over the shipped ones, from a moment on, and told to every worker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update

from core import price_rows, spend_models
from core.access import Invalid, NotFound
from core.db import Database
from core.price_rows import StoredPrice, prices_in_force
from core.revision import current
from core.types import ProviderName, Usage

NOW = datetime(2027, 2, 1, tzinfo=UTC)
RATES = {"input": "3", "output": "7", "cache_write_5m": "3.75", "cache_write_1h": "6", "cache_read": "0.3"}


def price(model: str = "claude-opus-5-5", since: str = "2027-01-01", **changes: Any) -> dict[str, Any]:
    return {"model": model, "from": since, "rates": RATES, **changes}


def put(database: Database, row: dict[str, Any]) -> StoredPrice:
    return database.run(lambda c: price_rows.set_price(c, row, NOW))


def cost_of_an_output_token(database: Database, day: datetime = NOW, model: str = "claude-opus-5-5") -> int:
    prices = database.read(prices_in_force)
    return prices.cost_micros(Usage(0, 1), model, ProviderName.PLAN, at=day.timestamp()).micros


def test_a_price_holds_from_its_moment_on_and_the_shipped_one_before(database: Database) -> None:
    put(database, price(since="2027-01-01T12:00:00+00:00"))
    moment = datetime(2027, 1, 1, 12, tzinfo=UTC)
    assert cost_of_an_output_token(database, moment) == 7
    assert cost_of_an_output_token(database, moment.replace(hour=11, minute=59)) == 20


def test_a_price_of_the_same_model_and_moment_is_replaced(database: Database) -> None:
    put(database, price())
    put(database, price(rates={**RATES, "output": "9"}))
    assert (cost_of_an_output_token(database), len(database.read(price_rows.list_prices))) == (9, 1)


def test_when_a_price_is_removed_the_shipped_one_holds_again(database: Database) -> None:
    stored = put(database, price())
    database.run(lambda c: price_rows.remove_price(c, stored.id))
    assert cost_of_an_output_token(database) == 20
    with pytest.raises(NotFound, match=stored.id):
        database.run(lambda c: price_rows.remove_price(c, stored.id))


def test_a_model_that_was_unknown_gets_a_price_of_its_own(database: Database) -> None:
    before = database.read(prices_in_force).cost_micros(Usage(0, 1), "claude-opus-9", ProviderName.PLAN)
    put(database, price("claude-opus-9"))
    after = database.read(prices_in_force).cost_micros(Usage(0, 1), "claude-opus-9", ProviderName.PLAN)
    assert (before.known, after.known, after.micros) == (False, True, 7)


def test_every_change_is_told(database: Database) -> None:
    told = [database.read(current)["prices"]]
    stored = put(database, price())
    told.append(database.read(current)["prices"])
    database.run(lambda c: price_rows.remove_price(c, stored.id))
    told.append(database.read(current)["prices"])
    assert told == [told[0], told[0] + 1, told[0] + 2]


@pytest.mark.parametrize(
    "wrong",
    [
        price("Claude Opus"),
        price("claude-opus-5-5\n"),
        price(since="tomorrow"),
        price(rates={**RATES, "input": "-1"}),
        price(rates={**RATES, "input": "NaN"}),
        price(rates={"input": "1"}),
        price(factors={"geo": "-1"}),
    ],
)
def test_what_is_no_price_is_refused_and_nothing_changes(database: Database, wrong: dict[str, Any]) -> None:
    before = database.read(current)
    with pytest.raises(Invalid):
        put(database, wrong)
    assert (database.read(price_rows.list_prices), database.read(current)) == ([], before)


def test_a_row_that_cannot_be_read_does_not_take_the_others_with_it(database: Database) -> None:
    put(database, price())
    damaged = put(database, price("claude-sonnet-5-5"))
    spoil = (
        update(spend_models.prices)
        .where(spend_models.prices.c.id == damaged.id)
        .values(document='{"model": "claude-sonnet-5-5"}')
    )
    database.run(lambda c: c.execute(spoil))
    assert cost_of_an_output_token(database) == 7
    assert cost_of_an_output_token(database, model="claude-sonnet-5-5") == 10
