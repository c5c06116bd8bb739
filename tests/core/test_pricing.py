"""Costs are exact, dated, and never zero for want of a price."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pricing import Price, PriceList, Rates, load_prices, price_from
from core.types import ProviderName, Usage

PLAN, BEDROCK = ProviderName.PLAN, ProviderName.BEDROCK
MILLION = Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)
PRICES = load_prices()


def micros(usage: Usage, model: str, provider: ProviderName = PLAN, place: str = "") -> int:
    return PRICES.cost_micros(usage, model, provider, place).micros


def test_each_kind_of_token_has_its_own_rate() -> None:
    kinds = [Usage(10**6), Usage(0, 10**6), Usage(0, 0, 10**6), Usage(0, 0, 0, 10**6), Usage(0, 0, 0, 0, 10**6)]
    costs = [Decimal(micros(usage, "claude-opus-5-5")) / 10**6 for usage in kinds]
    assert costs == [Decimal(4), Decimal(20), Decimal(5), Decimal(8), Decimal("0.2")]


@pytest.mark.parametrize(
    ("place", "dollars"),
    [
        ("global.anthropic.claude-opus-5-5", "4"),
        ("global", "4"),
        ("us.anthropic.claude-opus-5-5", "4.4"),
        ("eu", "4.4"),
        ("in.anthropic.claude-opus-5-5", "4.4"),
        ("us-gov.anthropic.claude-opus-5-5", "4.8"),
        ("anthropic.claude-opus-5-5", "4.4"),
        ("", "4.4"),
        ("arn:aws:bedrock:us-east-1:000000000000:inference-profile/global.anthropic.claude-opus-5-5", "4"),
    ],
)
def test_the_place_on_bedrock_sets_the_premium(place: str, dollars: str) -> None:
    assert micros(Usage(10**6), "claude-opus-5-5", BEDROCK, place) == Decimal(dollars) * 10**6


def test_models_before_4_5_cost_the_same_everywhere() -> None:
    assert micros(MILLION, "claude-opus-4-1", BEDROCK, "us") == micros(MILLION, "claude-opus-4-1", BEDROCK, "global")


@pytest.mark.parametrize(
    "spelling",
    [
        "claude-sonnet-4-5",
        "claude-sonnet-4-5[1m]",
        "Claude-Sonnet-4-5-20250929",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic/claude-sonnet-4-5",
        "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ],
)
def test_every_spelling_of_a_model_finds_its_price(spelling: str) -> None:
    priced = PRICES.cost_micros(Usage(10**5), spelling, PLAN)
    assert (priced.micros, priced.known) == (300_000, True)


def test_a_prompt_at_the_tiers_edge_costs_the_usual_rate() -> None:
    assert micros(Usage(100_000), "claude-haiku-5-5") == 10_000
    assert micros(Usage(25_000, 0, 25_000, 25_000, 25_000), "claude-haiku-5-5") == 2_500 + 3_125 + 5_000 + 250


def test_one_token_over_the_edge_moves_the_whole_request_to_the_long_tier() -> None:
    assert micros(Usage(100_000, 1000), "claude-haiku-5-5") == 10_500
    assert micros(Usage(100_001, 1000), "claude-haiku-5-5") == 52_500
    assert micros(Usage(1, 1000, 0, 0, 100_000), "claude-haiku-5-5") == 7_500


@pytest.mark.parametrize("model", ["claude-opus-9", "us.anthropic.claude-opus-9-v1:0", "claude-opus"])
def test_an_unknown_model_costs_what_the_dearest_of_its_family_does(model: str) -> None:
    priced = PRICES.cost_micros(Usage(10**6, 10**6), model, PLAN)
    assert (priced.micros, priced.known) == (90_000_000, False)


def test_a_model_of_an_unknown_family_costs_what_the_dearest_of_all_does() -> None:
    dearest = max(micros(MILLION, price.model) for price in PRICES.prices)
    assert [micros(MILLION, model) for model in ("something-else", "")] == [dearest, dearest]


def test_a_one_hour_write_is_never_free() -> None:
    assert all(price.rates.cache_write_1h >= price.rates.cache_write_5m > 0 for price in PRICES.prices)


def test_a_price_holds_from_its_day_on() -> None:
    newer = price_from({"model": "claude-opus-5", "from": "2027-01-01", "rates": dict.fromkeys(Rates.__slots__, "1")})
    prices = load_prices([newer])
    days = [newer.since - 1, newer.since, newer.since + 10**8, 0.0]
    assert [prices.cost_micros(Usage(10), "claude-opus-5", PLAN, at=day).micros for day in days] == [50, 10, 10, 50]


def test_a_row_of_the_same_day_is_laid_over_the_shipped_one() -> None:
    shipped = next(price for price in PRICES.prices if price.model == "claude-opus-5")
    prices = load_prices([Price("claude-opus-5", shipped.since, Rates(*[Decimal(7)] * 5))])
    assert prices.cost_micros(Usage(1), "claude-opus-5", PLAN).micros == 7


@pytest.mark.parametrize(("tokens", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4), (6, 3)])
def test_halves_are_rounded_to_even_once(tokens: int, expected: int) -> None:
    prices = PriceList([Price("m", 0.0, Rates(*[Decimal("0.5")] * 5))])
    assert prices.cost_micros(Usage(tokens), "m", PLAN).micros == expected


@given(st.builds(Usage, *[st.integers(0, 10**7)] * 5), st.sampled_from(["global", "us", "us-gov"]))
def test_the_sum_is_exact(usage: Usage, place: str) -> None:
    factor = {"global": Fraction(1), "us": Fraction(11, 10), "us-gov": Fraction(12, 10)}[place]
    written = usage.cache_write_5m_tokens * Fraction(25, 4) + usage.cache_write_1h_tokens * 10
    exact = usage.input_tokens * 5 + usage.output_tokens * 25 + written + Fraction(usage.cache_read_tokens, 2)
    assert micros(usage, "claude-opus-5", BEDROCK, place) == round(exact * factor)


def test_names_from_clients_do_not_fill_the_memory() -> None:
    for number in range(5000):
        PRICES.cost_micros(Usage(1), f"claude-{number}", PLAN)
    assert len(PRICES._quotes) <= 2000


@pytest.mark.parametrize("rate", ["-1", "NaN", "much"])
def test_a_row_that_is_no_price_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match=r"price of m|is not an amount"):
        price_from({"model": "m", "from": "2027-01-01", "rates": dict.fromkeys(Rates.__slots__, rate)})
