"""What an answer cost: model, place and moment to a price, usage times price to micro-dollars.

Knows neither database nor requests; the shipped prices are `data/prices.json`, newer rows (an admin's) are laid over them.
Rules: rates are dollars per million tokens, so a rate is micro-dollars per token; the sum is exact and rounded half-even
once per request; cache writes are priced by their time to live; a long prompt may move the whole request to another tier; a
place on Bedrock multiplies the rates. Invariant: usage is never priced at 0 for want of a price: an unknown model costs what
the dearest of its family costs (of an unknown family: the dearest of all), and the result says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import orjson

from core.types import ProviderName, Usage

FAMILIES = ("fable", "mythos", "opus", "sonnet", "haiku")

_SHIPPED = Path(__file__).with_name("data") / "prices.json"
_MOST_REMEMBERED = 2000  # names come from clients
_SUFFIX = re.compile(r"\[[^\]]*\]$")
_VERSION = re.compile(r"-v\d+(:\d+)*$|:\d+$")
_DATE = re.compile(r"-\d{8}$")
_PREFIX = re.compile(r"(?:^|/)([a-z-]+)\.anthropic\.")
_LIST = "list"
_GEO = "geo"
_US_GOV = "us-gov"
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars per million tokens."""

    input: Decimal
    output: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    cache_read: Decimal

    def times(self, factor: Decimal) -> Rates:
        return Rates(
            self.input * factor,
            self.output * factor,
            self.cache_write_5m * factor,
            self.cache_write_1h * factor,
            self.cache_read * factor,
        )

    def cost_of(self, usage: Usage) -> Decimal:
        """Micro-dollars, exact."""
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_write_5m_tokens * self.cache_write_5m
            + usage.cache_write_1h_tokens * self.cache_write_1h
            + usage.cache_read_tokens * self.cache_read
        )


@dataclass(frozen=True, slots=True)
class Price:
    """One model's price from one moment on. `factors` multiply the rates away from Bedrock's `global.` profiles."""

    model: str
    since: float
    rates: Rates
    aliases: tuple[str, ...] = ()
    long_above: int = 0
    long_rates: Rates | None = None
    geo_factor: Decimal = _ONE
    us_gov_factor: Decimal = _ONE

    def at_place(self, place: str) -> Price:
        factor = {_GEO: self.geo_factor, _US_GOV: self.us_gov_factor}.get(place, _ONE)
        if factor == _ONE:
            return self
        long_rates = self.long_rates.times(factor) if self.long_rates is not None else None
        return Price(self.model, self.since, self.rates.times(factor), self.aliases, self.long_above, long_rates)

    @property
    def dearness(self) -> tuple[Decimal, ...]:
        rates = self.rates
        tier = self.long_rates.input if self.long_rates is not None else Decimal(0)
        return rates.input, rates.output, rates.cache_write_1h, rates.cache_read, self.geo_factor, tier


@dataclass(frozen=True, slots=True)
class Priced:
    """`known` is False when the price is that of another, dearer model."""

    micros: int
    known: bool


@dataclass(frozen=True, slots=True)
class _Quote:
    """What a name resolved to: its prices, oldest first, with the place worked in."""

    prices: tuple[Price, ...]
    known: bool


class PriceList:
    """Prices of all models. Of two rows of one model and date the later counts. Immutable but for what it remembers of names."""

    def __init__(self, prices: Iterable[Price]) -> None:
        self._by_model: dict[str, list[Price]] = {}
        self._names: dict[str, str] = {}
        self._quotes: dict[tuple[str, str, str], _Quote] = {}
        for price in sorted(prices, key=lambda price: price.since):
            rows = self._by_model.setdefault(price.model, [])
            if rows and rows[-1].since == price.since:
                rows.pop()  # sorting is stable: what was given later is laid over
            rows.append(price)
            for name in (price.model, *price.aliases):
                self._names[name] = price.model
        if not self._by_model:
            raise ValueError("a price list needs at least one price")

    @property
    def prices(self) -> tuple[Price, ...]:
        """Every row, by model and then by date."""
        return tuple(price for rows in self._by_model.values() for price in rows)

    def listed(self, model: str, at: float) -> Price | None:
        """The price in force then, of a model by any spelling; None when it has none of its own."""
        known = self._known(canonical_name(model))
        return _in_force(tuple(self._by_model[known]), at) if known else None

    def cost_micros(self, usage: Usage, model: str, provider: ProviderName, place: str = "", at: float = 0.0) -> Priced:
        """What `usage` costs. `model` may be any spelling (alias, Bedrock id, `[1m]`), `at` is unix seconds.

        `place` is for Bedrock: the full model id or ARN, or its prefix (`global`, `us`, `us-gov`, ...). A bare in-region id
        and no place at all cost what a geographic profile does. For the Plan the result is the list-price value.
        """
        name = (model, provider.value, place)
        quote = self._quotes.get(name)
        if quote is None:
            if len(self._quotes) >= _MOST_REMEMBERED:
                self._quotes.clear()
            quote = self._quotes[name] = self._quote(model, _place_of(provider, place))
        price = _in_force(quote.prices, at)
        rates = price.rates
        if price.long_rates is not None and _prompt_tokens(usage) > price.long_above:
            rates = price.long_rates
        return Priced(int(rates.cost_of(usage).to_integral_value(ROUND_HALF_EVEN)), quote.known)

    def _quote(self, model: str, place: str) -> _Quote:
        name = canonical_name(model)
        known = self._known(name)
        rows = self._by_model[known] if known else self._dearest(name)
        return _Quote(tuple(price.at_place(place) for price in rows), known is not None)

    def _known(self, name: str) -> str | None:
        return self._names.get(name) or self._names.get(_DATE.sub("", name))

    def _dearest(self, name: str) -> Sequence[Price]:
        """By each model's newest price: old rows of a model that became cheaper must not decide."""
        family = next((word for word in FAMILIES if word in name), None)
        kin = [rows for model, rows in self._by_model.items() if family is None or family in model]
        return max(kin or self._by_model.values(), key=lambda rows: rows[-1].dearness)


def canonical_name(model: str) -> str:
    """A model's name without its place, version and window suffixes: what prices are listed under."""
    name = _SUFFIX.sub("", model.strip().lower())
    name = name.rpartition("anthropic.")[2].rpartition("/")[2]
    return _VERSION.sub("", name)


def load_prices(newer: Iterable[Price] = ()) -> PriceList:
    """The shipped prices with `newer` laid over them. Reads one small file; raises ValueError when it is damaged."""
    document = orjson.loads(_SHIPPED.read_bytes())
    return PriceList([*(price_from(row) for row in document["prices"]), *newer])


def price_from(row: Mapping[str, Any]) -> Price:
    """A row in the shape of `data/prices.json`. Raises ValueError, saying what is wrong with it."""
    try:
        tier = row.get("long_context")
        factors = row.get("factors", {})
        return Price(
            model=str(row["model"]),
            since=datetime.fromisoformat(row["from"]).replace(tzinfo=UTC).timestamp(),
            rates=_rates(row["rates"]),
            aliases=tuple(row.get("aliases", ())),
            long_above=int(tier["above_prompt_tokens"]) if tier else 0,
            long_rates=_rates(tier["rates"]) if tier else None,
            geo_factor=_amount(factors.get(_GEO, "1")),
            us_gov_factor=_amount(factors.get(_US_GOV, "1")),
        )
    except (KeyError, TypeError, ArithmeticError) as error:
        raise ValueError(f"price of {row.get('model', '?')}: {type(error).__name__} {error}") from error


def _rates(row: Mapping[str, str]) -> Rates:
    return Rates(*(_amount(row[name]) for name in ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")))


def _amount(text: str) -> Decimal:
    amount = Decimal(text)
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text} is not an amount")
    return amount


def _place_of(provider: ProviderName, place: str) -> str:
    if provider is ProviderName.PLAN:
        return _LIST
    found = _PREFIX.search(place)
    prefix = found.group(1) if found else place
    if prefix == "global":
        return _LIST
    return _US_GOV if prefix.startswith(_US_GOV) else _GEO


def _in_force(prices: tuple[Price, ...], at: float) -> Price:
    """The newest price that holds at that moment; before the first one, the first."""
    if len(prices) == 1:
        return prices[0]
    return next((price for price in reversed(prices) if price.since <= at), prices[0])


def _prompt_tokens(usage: Usage) -> int:
    return usage.input_tokens + usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
