"""A bounded cache whose values are fresh for a while and, after that, good enough while their source is away.

Knows nothing of what it holds, and does no I/O. Invariant: never more than `capacity` entries, the least recently used
leave first. Safe between greenlets: no method waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """A value and, in monotonic seconds, until when it is fresh (if `epoch` is still on) and may still stand in."""

    value: V
    fresh_until: float
    stale_until: float
    epoch: int


class Cache(Generic[K, V]):
    """`clock` is monotonic seconds. Values should not be None, which means absent."""

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        self._capacity = capacity
        self._clock = clock
        self._epoch = 0
        self._entries: OrderedDict[K, Entry[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value while it is fresh, else None. A stale one stays, for `get_stale`."""
        entry = self._entries.get(key)
        if entry is None or entry.epoch != self._epoch or self._clock() >= entry.fresh_until:
            return None
        self._entries.move_to_end(key)
        return entry.value

    def get_stale(self, key: K) -> V | None:
        """The value while it may stand in for a source that is away: fresh or stale."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() >= max(entry.fresh_until, entry.stale_until):
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry.value

    def put(self, key: K, value: V, fresh_s: float, stale_s: float = 0.0) -> None:
        """Fresh for `fresh_s` from now, then good enough for errors until `stale_s` from now (0: not at all)."""
        now = self._clock()
        self._entries[key] = Entry(value, now + fresh_s, now + stale_s, self._epoch)
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def expire(self) -> None:
        """Nothing is fresh any more: every value is asked for again, and stands in if its source is away. Takes no time."""
        self._epoch += 1

    def drop(self, key: K) -> None:
        """Forget one, stale use included."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all, stale use included."""
        self._entries.clear()
