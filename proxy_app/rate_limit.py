"""How many messages a minute an access key may send (SPEC section 8): counted exactly, in this worker.

Rules: in no 60 seconds does a worker let more than the limit through; what it refuses does not count; a limit that changes
counts with what was let through before. Each worker counts for itself (docs/decisions/0016-limits-per-worker.md). Pure but
for the injected clock; memory is bounded by the keys that have a limit, and by their limits.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil

from core.types import Grant
from proxy_app.call import Endpoint
from proxy_app.errors import Refused

_MINUTE_S = 60.0
_CAPACITY = 10_000


class RateLimits:
    """One a worker. `clock` is monotonic seconds. Safe between greenlets: no method waits."""

    def __init__(self, clock: Callable[[], float], capacity: int = _CAPACITY) -> None:
        self._clock = clock
        self._capacity = capacity
        self._passed: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, grant: Grant, endpoint: Endpoint) -> None:
        """Raises Refused for a message over the limit. Only messages count: Claude Code counts tokens 27 times at once."""
        limit = grant.requests_per_minute
        if limit is None or endpoint is not Endpoint.MESSAGES:
            return
        wait_s = ceil(self.admit(grant.access_key_id, limit))
        if wait_s > 0:
            message = (
                f"this access key may send {limit} messages a minute, and has; wait {wait_s} s, "
                "or ask your administrator for a higher limit"
            )
            raise Refused(429, "rate_limit_error", message, close=True, retry_after_s=wait_s)

    def admit(self, access_key_id: str, limit: int) -> float:
        """0 and the request counts, or how many seconds until one may come; then it does not count."""
        now = self._clock()
        passed = self._passed.setdefault(access_key_id, deque())
        self._passed.move_to_end(access_key_id)
        if len(self._passed) > self._capacity:
            self._passed.popitem(last=False)
        while passed and now - passed[0] >= _MINUTE_S:
            passed.popleft()
        if len(passed) >= limit:
            return passed[-limit] + _MINUTE_S - now
        passed.append(now)
        return 0.0
