"""What the Plan last said of each key's windows, in this worker's memory and, at every tick, in all the others'.

Knows no route and no page. `observe` is on the path of every answer: it looks at the headers and at one dictionary, and never
blocks. Invariants: bounded memory; of two sightings the later one stays; while the database is away the latest of each key
waits here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from core.db import Database, DatabaseAway
from core.plan_window_rows import windows_since, write_windows
from core.plan_windows import PREFIX, PlanWindows, read_windows
from core.threads import paced
from proxy_app.call import Headers

MOST_KEYS = 20_000
_BATCH = 200
_SAY_AGAIN_S = 60.0  # what has not changed is written again only so often
_OVERLAP = timedelta(seconds=10)  # clocks of hosts differ, and transactions end later than they begin
_FIRST_LOOK = timedelta(days=8)  # the longest window is seven days


class PlanWatch:
    """`wall` is unix seconds. Call `publish` and then `absorb` at every tick, from one greenlet."""

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        self._database = database
        self._wall = wall
        self._seen: OrderedDict[str, PlanWindows] = OrderedDict()
        self._waiting: dict[str, PlanWindows] = {}
        self._written: OrderedDict[str, PlanWindows] = OrderedDict()
        self._looked_at = datetime.fromtimestamp(wall(), UTC) - _FIRST_LOOK

    def observe(self, access_key_id: str, headers: Headers) -> None:
        """The headers of any answer of the Plan, as they came. Never raises, never waits."""
        ours = [(name.lower(), value) for name, value in headers if name[: len(PREFIX)].lower() == PREFIX]
        windows = read_windows(ours, self._wall()) if ours else None
        if windows is None:
            return
        self._keep(access_key_id, windows)
        written = self._written.get(access_key_id)
        if written is None or not written.is_like(windows) or windows.seen_at - written.seen_at > _SAY_AGAIN_S:
            self._waiting[access_key_id] = windows
            if len(self._waiting) > MOST_KEYS:
                del self._waiting[next(iter(self._waiting))]

    def latest(self, access_key_id: str) -> PlanWindows | None:
        """As last seen by any worker, about a tick ago; from memory."""
        return self._seen.get(access_key_id)

    def publish(self) -> int:
        """Write what waits; returns of how many keys. With the database away it waits on."""
        done = 0
        with suppress(DatabaseAway):
            while batch := dict(list(self._waiting.items())[:_BATCH]):
                self._write(batch)
                done += len(batch)
        return done

    def absorb(self) -> int:
        """Take over what others saw later than this worker; returns of how many keys."""
        now, since = datetime.fromtimestamp(self._wall(), UTC), self._looked_at
        try:
            found = self._database.read(lambda connection: windows_since(connection, since))
        except DatabaseAway:
            return 0
        self._looked_at = now - _OVERLAP
        return sum(self._keep(access_key_id, windows) for access_key_id, windows in paced(found.items()))

    def _keep(self, access_key_id: str, windows: PlanWindows) -> bool:
        known = self._seen.get(access_key_id)
        if known is not None and known.seen_at >= windows.seen_at:
            return False
        self._seen[access_key_id] = windows
        _bound(self._seen, access_key_id)
        return True

    def _write(self, batch: dict[str, PlanWindows]) -> None:
        self._database.run(lambda connection: write_windows(connection, batch))
        for access_key_id, windows in batch.items():
            self._written[access_key_id] = windows
            _bound(self._written, access_key_id)
            if self._waiting.get(access_key_id) is windows:
                del self._waiting[access_key_id]


def _bound(kept: OrderedDict[str, PlanWindows], latest: str) -> None:
    kept.move_to_end(latest)
    if len(kept) > MOST_KEYS:
        kept.popitem(last=False)
