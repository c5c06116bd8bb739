"""Which keys were used lately, and from where: noted in memory while a request passes, written beside it (SPEC section 8).

Knows addresses and keys' ids, nothing of requests. Invariants: noting never waits and costs a look into a dictionary, but for
once a minute a key; memory is bounded; what cannot be written now is written later or, at the bound, never.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from core.addresses import client_address
from core.db import Database, DatabaseAway
from core.setting_values import Network
from core.sightings import SELDOM, Sighting, record_sightings
from core.threads import Running, sleep, spawn

log = logging.getLogger(__name__)

_FLUSH_S = 5.0
_LAST_FLUSH_S = 1.0
_BATCH = 500
_CAPACITY = 20_000


class LastSeen:
    """One a worker. `wall` is unix seconds; `trusted` are the networks whose `x-forwarded-for` is believed."""

    def __init__(
        self, database: Database, trusted: Sequence[Network], wall: Callable[[], float], capacity: int = _CAPACITY
    ) -> None:
        self._database = database
        self._trusted = trusted
        self._wall = wall
        self._capacity = capacity
        self._noted: OrderedDict[str, float] = OrderedDict()
        self._waiting: OrderedDict[str, Sighting] = OrderedDict()
        self._running: Running | None = None
        self._stopping = False

    def note(self, access_key_id: str, peer: str, forwarded_for: Iterable[str]) -> None:
        """A request with this key came in. `forwarded_for`: the values of every such header field, in order."""
        now = self._wall()
        if now - self._noted.get(access_key_id, 0.0) < SELDOM.total_seconds():
            return
        address = client_address(peer, forwarded_for, self._trusted)
        _put(self._noted, access_key_id, now, self._capacity)
        sighting = Sighting(access_key_id, datetime.fromtimestamp(now, UTC), str(address) if address else "")
        _put(self._waiting, access_key_id, sighting, self._capacity)

    def start(self) -> None:
        self._running = spawn(self._run)

    def stop(self) -> None:
        """Stops, and writes what waits, within a second or not. Idempotent; never raises."""
        if self._stopping:
            return
        self._stopping = True
        if self._running is not None:
            self._running.stop(0)
        spawn(self.flush).stop(_LAST_FLUSH_S)

    def flush(self) -> None:
        """Writes what waits; never raises."""
        waiting = list(self._waiting.values())
        for first in range(0, len(waiting), _BATCH):
            batch = waiting[first : first + _BATCH]
            try:
                self._database.run(partial(record_sightings, sightings=batch))
            except DatabaseAway:
                return  # the tick says so already; they wait
            except Exception:
                log.exception("it could not be written which keys were used")
                return
            for each in batch:
                if self._waiting.get(each.access_key_id) is each:
                    del self._waiting[each.access_key_id]

    def _run(self) -> None:
        while not self._stopping:
            sleep(_FLUSH_S)
            self.flush()


def _put(entries: OrderedDict[str, Any], key: str, value: Any, capacity: int) -> None:
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > capacity:
        entries.popitem(last=False)
