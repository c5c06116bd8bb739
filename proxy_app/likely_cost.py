"""What a request of a key is likely to cost on Bedrock: what its last ones did, with room (SPEC section 9).

No I/O, no clock. Invariant: bounded memory, the keys that finished something longest ago leave first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

_MOST_KEYS = 20_000
_ENOUGH = 5  # requests from which a mean tells more than an estimate
_WEIGHT = 0.2


class LikelyCost:
    """A moving mean by access key, in micro-dollars."""

    def __init__(self) -> None:
        self._means: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def of(self, access_key_id: str, estimate_micros: Callable[[], int]) -> int:
        """Twice the mean; of a key that has not finished enough here, what `estimate_micros` says of this very request."""
        count, mean = self._means.get(access_key_id, (0, 0.0))
        return round(2 * mean) if count >= _ENOUGH else estimate_micros()

    def learn(self, access_key_id: str, cost_micros: int) -> None:
        count, mean = self._means.get(access_key_id, (0, 0.0))
        weight = max(_WEIGHT, 1 / (count + 1))
        self._means[access_key_id] = (count + 1, mean + weight * (cost_micros - mean))
        self._means.move_to_end(access_key_id)
        if len(self._means) > _MOST_KEYS:
            self._means.popitem(last=False)
