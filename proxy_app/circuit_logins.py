"""Which logins of one access key a circuit that is open for exhaustion knows (SPEC section 5).

A login is the keyed digest of a credential, made elsewhere: this file never sees a credential, a clock or a circuit.
Exhaustion belongs to a login, a circuit to an access key, and one key may be used with two logins in turn. Three rules
keep such a pair from flapping:

- every login that was rejected stays known until its own reset, not only the last one: two exhausted logins are both
  refused, instead of each replacing the other and asking the Plan again with every request;
- a login that is not known as rejected passes, and its success closes the circuit, because the developer's login changed;
- the same login closes a circuit at most once in a probe interval. When the exhausted one comes back and opens it again
  within that time, the good one is still let through, but the circuit stays open for the exhausted one.

Invariant: both memories are bounded, and the empty login (no credential) is never known, so it never passes by itself.
"""

from __future__ import annotations

MOST_LOGINS = 16


class Logins:
    """The rejected logins and the closing ones of one circuit. All times are monotonic seconds. Not locked."""

    __slots__ = ("_closed_at", "_rejected_until")

    def __init__(self) -> None:
        self._rejected_until: dict[str, float] = {}
        self._closed_at: dict[str, float] = {}

    @property
    def is_empty(self) -> bool:
        return not self._rejected_until and not self._closed_at

    @property
    def has_rejected(self) -> bool:
        return bool(self._rejected_until)

    def reject(self, login: str, until: float) -> None:
        """From now on this login does not pass before `until`."""
        if login:
            _remember(self._rejected_until, login, until)

    def is_another(self, login: str, now: float, open_until: float) -> bool:
        """True when the circuit was opened by other logins than this one.

        A login whose own reset came while the circuit stays open for another's is another one again. The login whose
        reset is the circuit's own is not: its return is the circuit's ordinary probe, one at a time.
        """
        if not login or not self._rejected_until:
            return False
        own_reset = self._rejected_until.get(login)
        return own_reset is None or (own_reset <= now and own_reset < open_until)

    def may_close(self, login: str, now: float, interval_s: float) -> bool:
        closed_at = self._closed_at.get(login)
        return closed_at is None or now - closed_at >= interval_s

    def remember_closing(self, login: str, now: float) -> None:
        if login:
            _remember(self._closed_at, login, now)

    def forget_rejected(self) -> None:
        self._rejected_until.clear()


def _remember(times: dict[str, float], login: str, moment: float) -> None:
    """Keep the most recent MOST_LOGINS; a dict remembers the order of insertion."""
    times.pop(login, None)
    times[login] = moment
    if len(times) > MOST_LOGINS:
        del times[next(iter(times))]
