"""What somebody says a model costs, completed to a row in the shape of `data/prices.json`.

Pure. Rules: what is not said of cache prices follows from the input's price by Anthropic's usual factors; what is not said
of places stays as it was; a model whose long prompts cost more goes on to charge them more, by as much; a model keeps the name
that it has in the list in force, by whatever spelling it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.pricing import Price, PriceList, Rates, canonical_name

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


def price_row(terms: PriceTerms, in_force: PriceList) -> Mapping[str, Any]:
    """For `core.price_rows.set_price`."""
    before: Price | None = in_force.listed(terms.model, terms.since.timestamp())
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
    row = {
        "model": before.model if before else canonical_name(terms.model),
        "from": terms.since.isoformat(),
        "rates": {name: str(rate) for name, rate in rates.items()},
        "factors": {name: str(factor) for name, factor in factors.items()},
    }
    if before is None or before.long_rates is None:
        return row
    longer = {name: str(_surcharged(name, rate, before.rates, before.long_rates)) for name, rate in rates.items()}
    return {**row, "long_context": {"above_prompt_tokens": before.long_above, "rates": longer}}


def _surcharged(name: str, rate: Decimal, usual: Rates, longer: Rates) -> Decimal:
    """In the proportion that it was; of something that was free, what a long prompt cost, if that is more."""
    was: Decimal = getattr(usual, name)
    was_longer: Decimal = getattr(longer, name)
    return rate * was_longer / was if was else max(rate, was_longer)


def _or(given: Decimal | None, usual: Decimal) -> Decimal:
    return usual if given is None else given
