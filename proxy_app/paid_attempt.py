"""What is asked before each attempt that the operator pays for: whether budgets have room for what it may cost.

Knows how to reckon a request that has not been answered yet: its input as estimated, at the price of Bedrock's dearest place
and without any help from caches, and 4,000 output tokens (SPEC section 9). The estimate is only made where a budget asks for it.
"""

from __future__ import annotations

from collections.abc import Callable

from core.pricing import PriceList
from core.types import ProviderName, Usage
from proxy_app.bedrock.estimate import estimate_input_tokens
from proxy_app.call import Call
from proxy_app.spending import Reservation, Spending

OUTPUT_TOKENS = 4000


class PaidAttempt:
    """Callable with a `Call`. `prices` gives the list in force."""

    def __init__(self, spending: Spending, prices: Callable[[], PriceList]) -> None:
        self._spending = spending
        self._prices = prices

    def __call__(self, call: Call) -> Reservation:
        """See `Spending.reserve`: raises UpstreamError when a budget has no room."""
        return self._spending.reserve(call.grant, lambda: self._estimate(call))

    def _estimate(self, call: Call) -> int:
        usage = Usage(estimate_input_tokens(call.asked.body or {}), OUTPUT_TOKENS)
        return self._prices().cost_micros(usage, call.asked.model, ProviderName.BEDROCK, at=call.started_at).micros
