"""Prices that administrators laid over the shipped ones, as rows: each a model's price from one moment on.

Functions on a Connection, as in core.access. A row keeps its price in the shape of `data/prices.json`, decimals as text, so
nothing is rounded on the way. Invariant: every stored row was read by `price_from` before it was written, and every change
adds 1 to `revisions.prices` in its own transaction, so all workers price by it within two ticks. What is recorded already
keeps the cost it was recorded with.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select

from core.access import Invalid, NotFound
from core.db import upsert
from core.ids import new_id
from core.pricing import Price, PriceList, load_prices, price_from
from core.revision import bump
from core.spend_models import prices

log = logging.getLogger(__name__)

_MODEL = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")


@dataclass(frozen=True, slots=True)
class StoredPrice:
    """An administrator's price and the id by which it can be removed."""

    id: str
    price: Price
    created_at: datetime


def set_price(connection: Connection, row: Mapping[str, Any], now: datetime) -> StoredPrice:
    """`row` has the shape of `data/prices.json`; one of the same model and moment is replaced. Raises Invalid."""
    if _MODEL.fullmatch(str(row.get("model"))) is None:
        raise Invalid("a model's name has lower-case letters, digits, dots and hyphens: claude-opus-5-5")
    try:
        price = price_from(row)
    except ValueError as error:
        raise Invalid(str(error)) from error
    bump(connection, "prices")
    price_id, since = new_id("prc"), datetime.fromtimestamp(price.since, UTC)
    values = {"id": price_id, "model": price.model, "since": since, "document": orjson.dumps(row).decode(), "created_at": now}
    upsert(connection, prices, [values], ["model", "since"])
    return StoredPrice(price_id, price, now)


def list_prices(connection: Connection) -> list[StoredPrice]:
    """By model, then by the moment they begin to hold. A row that an older release cannot read is left out, and logged."""
    rows = connection.execute(select(prices).order_by(prices.c.model, prices.c.since)).all()
    return [stored for row in rows if (stored := _stored(row)) is not None]


def remove_price(connection: Connection, price_id: str) -> None:
    """What held before holds again. Raises NotFound."""
    bump(connection, "prices")
    if connection.execute(delete(prices).where(prices.c.id == price_id)).rowcount == 0:
        raise NotFound(f"there is no price {price_id}")


def prices_in_force(connection: Connection) -> PriceList:
    """The shipped prices with the administrators' laid over them."""
    return load_prices(stored.price for stored in list_prices(connection))


def _stored(row: Any) -> StoredPrice | None:
    try:
        return StoredPrice(row.id, price_from(orjson.loads(row.document)), row.created_at)
    except ValueError as error:
        log.error("a price cannot be read", extra={"context": {"price_id": row.id, "reason": str(error)}})
        return None
