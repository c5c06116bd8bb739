"""What a worker's paid requests cost that the ledger, when it was last read, did not have: in flight, and over.

No I/O, no clock. What is in flight is an estimate and belongs to no month; what is over is exact and belongs to the one in which
it began. Invariants: sums are kept as things happen, so that a question costs the same whatever waits for the database; a request
that is over counts until the ledger was read after it took the record, so that it is never in neither.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

from core.spend_rows import Owner

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class _Over:
    owner: Owner
    month: str
    micros: int


class Unbooked:
    """One a worker."""

    def __init__(self) -> None:
        self._in_flight: dict[str, dict[str, int]] = {}  # by user, by key
        self._waiting: dict[str, _Over] = {}  # by request: over, and not in the ledger
        self._flushed: dict[str, _Over] = {}  # by request: in the ledger, which was not read since
        self._sums: dict[str, dict[tuple[str, str], int]] = {}  # of both: by user, by month and key
        self._sums_waiting: dict[Owner, int] = {}

    def begin(self, owner: Owner, micros: int) -> None:
        _add(self._in_flight.setdefault(owner.user_id, {}), owner.access_key_id, micros)

    def end(self, owner: Owner, micros: int) -> None:
        """It counts no more, but for what `over` says of it."""
        keys = self._in_flight.get(owner.user_id, {})
        _add(keys, owner.access_key_id, -micros)
        if not keys:
            self._in_flight.pop(owner.user_id, None)

    def is_in_flight(self, owner: Owner) -> bool:
        return owner.access_key_id in self._in_flight.get(owner.user_id, {})

    def over(self, request_id: str, owner: Owner, month: str, micros: int) -> None:
        if request_id in self._waiting or request_id in self._flushed:
            return
        self._waiting[request_id] = _Over(owner, month, micros)
        _add(self._sums.setdefault(owner.user_id, {}), (month, owner.access_key_id), micros)
        _add(self._sums_waiting, owner, micros)

    def flushed(self, request_id: str) -> None:
        """The ledger has it, or never will."""
        done = self._waiting.pop(request_id, None)
        if done is not None:
            self._flushed[request_id] = done
            _add(self._sums_waiting, done.owner, -done.micros)

    def flushed_of(self, user_ids: Collection[str]) -> list[str]:
        """Requests that can be forgotten once the ledger was read for these users, if that begins after this call."""
        return [request_id for request_id, done in self._flushed.items() if done.owner.user_id in user_ids]

    def forget(self, request_ids: Collection[str]) -> None:
        for done in filter(None, [self._flushed.pop(request_id, None) for request_id in request_ids]):
            sums = self._sums[done.owner.user_id]
            _add(sums, (done.month, done.owner.access_key_id), -done.micros)
            if not sums:
                del self._sums[done.owner.user_id]

    def total(self, user_id: str, access_key_id: str | None, month: str | None) -> int:
        """Micro-dollars of one key, or of all of the user's; of one month, or of all."""
        flying, sums = self._in_flight.get(user_id, {}), self._sums.get(user_id, {})
        over = sum(micros for (of, key), micros in sums.items() if month in (None, of) and access_key_id in (None, key))
        return over + (sum(flying.values()) if access_key_id is None else flying.get(access_key_id, 0))

    def pending(self) -> dict[Owner, int]:
        """What the ledger has not got."""
        sums = dict(self._sums_waiting)
        for user_id, keys in self._in_flight.items():
            for access_key_id, micros in keys.items():
                _add(sums, Owner(user_id, access_key_id), micros)
        return sums


def _add(sums: dict[K, int], key: K, micros: int) -> None:
    """What comes to nothing takes no room."""
    left = sums.get(key, 0) + micros
    if left > 0:
        sums[key] = left
    else:
        sums.pop(key, None)
