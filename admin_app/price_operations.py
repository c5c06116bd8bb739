"""Prices: what every model costs, shipped or set by an admin, and setting one from a moment on (SPEC section 9)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from admin_app.fields import Id, Moment
from admin_app.operation import BadFields, Doing, Listed, Nothing, Offer, Operation, Shape, Shown, asks, changes
from core.access import NotFound
from core.actor import Role
from core.price_rows import StoredPrice, list_prices, prices_in_force, remove_price, set_price
from core.price_terms import PriceTerms, price_row
from core.pricing import Price, load_prices

ModelName = Annotated[str, Meta(min_length=1, max_length=100, description="a model's name, such as claude-opus-5-5")]
Rate = Annotated[Decimal, Meta(description='dollars per million tokens as a decimal, such as "3" or "0.30"')]
Factor = Annotated[Decimal, Meta(description='a factor on all rates, such as "1.1"')]
_MOST = Decimal(1_000_000)
AMOUNTS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read", "geo_factor", "us_gov_factor")


class PriceShown(Shown, frozen=True, kw_only=True):
    """One model's price from `since` on, in dollars per million tokens. `id` is null where it is shipped.

    `in_force`: requests that end now are priced by it. Above `long_above` input tokens the `long_` rates hold.
    """

    id: str | None
    model: str
    since: datetime
    in_force: bool
    input: Decimal
    output: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    cache_read: Decimal
    geo_factor: Decimal
    us_gov_factor: Decimal
    long_above: int | None
    long_input: Decimal | None
    long_output: Decimal | None


class AllPrices(Shape, frozen=True, kw_only=True):
    """Everything that holds, held or will hold. There are some dozens."""


class NewPrice(Shape, frozen=True, kw_only=True):
    """What is left out of the cache's prices follows from the input's (1.25, 2 and 0.1 times); of the factors, it stays.

    A model whose long prompts cost more keeps the proportion.
    """

    model: ModelName
    since: Moment | None = None
    input: Rate
    output: Rate
    cache_write_5m: Rate | None = None
    cache_write_1h: Rate | None = None
    cache_read: Rate | None = None
    geo_factor: Factor | None = None
    us_gov_factor: Factor | None = None


class ThePrice(Shape, frozen=True, kw_only=True):
    price_id: Id


def _list(doing: Doing, _: AllPrices) -> Listed[PriceShown]:
    stored = list_prices(doing.connection)
    ids = {(each.price.model, each.price.since): each.id for each in stored}
    prices = load_prices(each.price for each in stored)
    now = doing.now.timestamp()
    rows = sorted(prices.prices, key=lambda price: (price.model, -price.since))
    shown = [_shown(price, ids.get((price.model, price.since)), prices.listed(price.model, now) is price) for price in rows]
    return Listed(data=shown)


def _set(doing: Doing, taken: NewPrice) -> PriceShown:
    _check(taken)
    since = (taken.since or doing.now).astimezone(UTC)
    rates = (taken.input, taken.output, taken.cache_write_5m, taken.cache_write_1h, taken.cache_read)
    row = price_row(
        PriceTerms(taken.model, since, *rates, taken.geo_factor, taken.us_gov_factor), prices_in_force(doing.connection)
    )
    before = _same(list_prices(doing.connection), str(row["model"]), since.timestamp())
    stored = set_price(doing.connection, row, doing.now)
    doing.note("price.set", stored.id, {} if before is None else _noted(before), _noted(stored))
    return _shown(stored.price, stored.id, stored.price.since <= doing.now.timestamp())


def _remove(doing: Doing, taken: ThePrice) -> Nothing:
    stored = next((each for each in list_prices(doing.connection) if each.id == taken.price_id), None)
    if stored is None:
        raise NotFound(f"there is no price {taken.price_id}")
    remove_price(doing.connection, stored.id)
    doing.note("price.remove", stored.id, _noted(stored), {})
    return Nothing()


def _check(taken: NewPrice) -> None:
    amounts = {name: getattr(taken, name) for name in AMOUNTS}
    wrong = [name for name, each in amounts.items() if each is not None and not (each.is_finite() and 0 <= each <= _MOST)]
    if wrong:
        raise BadFields(dict.fromkeys(wrong, "must be a number from 0 to 1,000,000"))


def _same(stored: list[StoredPrice], model: str, since: float) -> StoredPrice | None:
    return next((each for each in stored if (each.price.model, each.price.since) == (model, since)), None)


def _shown(price: Price, price_id: str | None, in_force: bool) -> PriceShown:
    rates, longer = price.rates, price.long_rates
    return PriceShown(
        id=price_id,
        model=price.model,
        since=datetime.fromtimestamp(price.since, UTC),
        in_force=in_force,
        input=rates.input,
        output=rates.output,
        cache_write_5m=rates.cache_write_5m,
        cache_write_1h=rates.cache_write_1h,
        cache_read=rates.cache_read,
        geo_factor=price.geo_factor,
        us_gov_factor=price.us_gov_factor,
        long_above=price.long_above or None,
        long_input=longer.input if longer else None,
        long_output=longer.output if longer else None,
    )


def _noted(stored: StoredPrice) -> dict[str, Any]:
    shown = msgspec.to_builtins(_shown(stored.price, stored.id, in_force=True))
    return {name: value for name, value in shown.items() if name not in ("id", "in_force") and value is not None}


LIST = Operation("listPrices", "All prices", Role.VIEWER, AllPrices, Listed[PriceShown], asks(_list))
SET = Operation("setPrice", "Set what a model costs from a moment on", Role.EDITOR, NewPrice, PriceShown, changes(_set))
REMOVE = Operation("removePrice", "Remove a price that was set", Role.EDITOR, ThePrice, Nothing, changes(_remove))

OFFERS = (
    Offer("GET", "/prices", LIST, tag="Prices"),
    Offer("POST", "/prices", SET, 201, tag="Prices"),
    Offer("DELETE", "/prices/{price_id}", REMOVE, 204, tag="Prices"),
)
