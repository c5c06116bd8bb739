"""Slows sign-in attempts down, by address and by account (SPEC section 11). Pure but for the injected clock.

Rules: an attempt counts when it begins, so that many at once gain nothing, and is forgiven when it succeeds. After
`_FREE_BY_ADDRESS` from one address each further one has to wait, twice as long each time. The same for one account from
anywhere, later and shorter, and not for an address that signed in to it before: who guesses from many addresses shall not
lock the owner out. A browser that signed in to the account before counts for itself alone, wherever it is. Memory is bounded;
each worker counts for itself: docs/decisions/0022-signing-in.md.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from core.cache import Cache

_FREE_BY_ADDRESS, _MOST_WAIT_BY_ADDRESS_S = 5, 300.0
_FREE_BY_ACCOUNT, _MOST_WAIT_BY_ACCOUNT_S = 20, 30.0
_FORGET_S = 3600.0
_KNOWN_S = 30 * 86_400.0
_CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class _Count:
    failures: int
    next_at: float


class Throttle:
    """`clock` is monotonic seconds. An `address` is whatever belongs to one client."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: Cache[Hashable, _Count] = Cache(_CAPACITY, clock)
        self._known: Cache[tuple[str, str], bool] = Cache(_CAPACITY, clock)

    def attempt(self, address: str, account: str, device: str = "") -> float:
        """0 and the attempt counts, or how many seconds to wait before the next one; then it does not count."""
        limits = self._limits(address, account, device)
        now = self._clock()
        wait_s = max(self._count(key).next_at - now for key, _, _ in limits)
        if wait_s > 0:
            return wait_s
        for key, free, most_s in limits:
            self._put(key, self._count(key).failures + 1, free, most_s)
        return 0.0

    def failed(self, address: str, account: str, device: str = "") -> None:
        """The attempt is over, and was none of theirs: the wait begins now, however long the check took."""
        for key, free, most_s in self._limits(address, account, device):
            self._put(key, self._count(key).failures, free, most_s)

    def succeeded(self, address: str, account: str, device: str = "") -> None:
        for key, _, _ in self._limits(address, account, device):
            self._counts.drop(key)
        self._known.put((address, account), True, _KNOWN_S)

    def _limits(self, address: str, account: str, device: str) -> list[tuple[Hashable, int, float]]:
        if device:
            return [(("device", device), _FREE_BY_ADDRESS, _MOST_WAIT_BY_ADDRESS_S)]
        by_address = (("address", address), _FREE_BY_ADDRESS, _MOST_WAIT_BY_ADDRESS_S)
        if self._known.get((address, account)):
            return [by_address]
        return [by_address, (("account", account), _FREE_BY_ACCOUNT, _MOST_WAIT_BY_ACCOUNT_S)]

    def _put(self, key: Hashable, failures: int, free: int, most_s: float) -> None:
        pause_s = 0.0 if failures < free else min(most_s, 2.0 ** min(failures - free, 30))
        self._counts.put(key, _Count(failures, self._clock() + pause_s), _FORGET_S)

    def _count(self, key: Hashable) -> _Count:
        return self._counts.get(key) or _Count(0, float("-inf"))
