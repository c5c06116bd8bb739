"""Ten requests whose cost was worked out by hand from the vendors' published prices (Anthropic and AWS, 2026-11-23)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.pricing import load_prices
from core.types import ProviderName, Usage

PLAN, BEDROCK = ProviderName.PLAN, ProviderName.BEDROCK
DAY = datetime(2026, 11, 27, tzinfo=UTC).timestamp()

# model, upstream, place, (input, output, cache write 5 m, cache write 1 h, cache read), micro-dollars, the working
BY_HAND = [
    ("claude-opus-5-5", PLAN, "", (1_200, 800, 0, 0, 0), 20_800, "1.2k at $4 + 0.8k at $20 = 4,800 + 16,000"),
    ("claude-opus-5-5", BEDROCK, "global.anthropic.claude-opus-5-5", (1_200, 800, 0, 0, 0), 20_800, "global: list"),
    ("claude-opus-5-5", BEDROCK, "us.anthropic.claude-opus-5-5", (1_200, 800, 0, 0, 0), 22_880, "a geography costs a tenth more"),
    ("claude-sonnet-5-5", PLAN, "", (500, 2_000, 40_000, 0, 60_000), 127_000, "1,000 + 20,000 + 100,000 + 60k at $0.10 = 6,000"),
    ("claude-sonnet-4-5", PLAN, "", (10_000, 1_000, 0, 0, 150_000), 90_000, "30,000 + 15,000 + 45,000, below 200k"),
    ("claude-sonnet-4-5", PLAN, "", (100_000, 1_000, 0, 0, 150_000), 712_500, "over 200k: $6, $22.5, $0.6"),
    ("claude-haiku-4-5", BEDROCK, "jp.anthropic.claude-haiku-4-5-20251001-v1:0", (3_000, 700, 0, 2_000, 0), 11_550, "and 10 %"),
    ("claude-haiku-5-5", PLAN, "", (90_000, 2_000, 0, 0, 20_000), 51_000, "over 100k: 90k at $0.5, 2k at $2.5, 20k at $0.05"),
    ("claude-opus-4-1", BEDROCK, "us.anthropic.claude-opus-4-1-20250805-v1:0", (2_000, 500, 1_000, 0, 0), 86_250, "no premium"),
    ("claude-fable-5-1", BEDROCK, "us-gov.anthropic.claude-fable-5-1", (1_000, 100, 0, 400, 8_000), 30_000, "25,000 + a fifth"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "provider", "place", "tokens", "micros", "working"), BY_HAND)
def test_a_request_costs_what_the_published_prices_say(
    model: str, provider: ProviderName, place: str, tokens: tuple[int, int, int, int, int], micros: int, working: str
) -> None:
    priced = load_prices().cost_micros(Usage(*tokens), model, provider, place, DAY)
    assert (priced.micros, priced.known) == (micros, True), working
