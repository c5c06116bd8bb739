"""What somebody says a model costs, completed to a row in the shape of `data/prices.json`.

Pure. Rules: what is not said of cache prices follows from the input's price by Anthropic's usual factors; what is not said
of places stays as it was; a model keeps the name that it has in the shipped list, by whatever spelling it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.pricing import Price, PriceList, canonical_name

_WRITE_5M, _WRITE_1H, _READ = Decimal("1.25"), Decimal(2), Decimal("0.1")  # times the input's price


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """Dollars per million tokens, and factors for geographic and US-government profiles. None: as usual, or as before."""

    model: str
    since: datetime
    input: Decimal
    output: Decimal
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    cache_read: Decimal | None = None
    geo_factor: Decimal | None = None
    us_gov_factor: Decimal | None = None


def price_row(terms: PriceTerms, shipped: PriceList) -> Mapping[str, Any]:
    """For `core.price_rows.set_price`."""
    before: Price | None = shipped.listed(terms.model, terms.since.timestamp())
    rates = {
        "input": terms.input,
        "output": terms.output,
        "cache_write_5m": _or(terms.cache_write_5m, terms.input * _WRITE_5M),
        "cache_write_1h": _or(terms.cache_write_1h, terms.input * _WRITE_1H),
        "cache_read": _or(terms.cache_read, terms.input * _READ),
    }
    factors = {
        "geo": _or(terms.geo_factor, before.geo_factor if before else Decimal(1)),
        "us-gov": _or(terms.us_gov_factor, before.us_gov_factor if before else Decimal(1)),
    }
    return {
        "model": before.model if before else canonical_name(terms.model),
        "from": terms.since.isoformat(),
        "rates": {name: str(rate) for name, rate in rates.items()},
        "factors": {name: str(factor) for name, factor in factors.items()},
    }


def _or(given: Decimal | None, usual: Decimal) -> Decimal:
    return usual if given is None else given
