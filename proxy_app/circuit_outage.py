"""Is the Plan away for everybody? Counts the access keys that could not reach it (SPEC section 5).

Pure: times are handed in. A request that began after some of the failures and succeeded disproves those: with a
thousand keys, five slow answers in half a minute are nothing while all others are served. Invariant: never more than
`keys` entries, so that an outage costs no memory.
"""

from __future__ import annotations


class OutageWatch:
    """Says when `keys` different access keys failed within `window_s`. Times are monotonic seconds. Not locked."""

    __slots__ = ("_failed_at", "_keys", "_window_s")

    def __init__(self, keys: int, window_s: float) -> None:
        self._keys = keys
        self._window_s = window_s
        self._failed_at: dict[str, float] = {}

    @property
    def is_empty(self) -> bool:
        return not self._failed_at

    def note(self, access_key_id: str, now: float) -> bool:
        """One more key did not reach the Plan. True when that makes an outage; counting then starts anew."""
        self.disprove(now - self._window_s)
        self._failed_at[access_key_id] = now
        if len(self._failed_at) < self._keys:
            return False
        self._failed_at.clear()
        return True

    def disprove(self, moment: float) -> None:
        """Forget the failures before `moment`: a request that began then was served."""
        self._failed_at = {key: at for key, at in self._failed_at.items() if at >= moment}
