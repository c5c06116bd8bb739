"""One circuit: closed, open or half-open, and what each outcome makes of it (SPEC section 5).

The only door to pybreaker, which keeps the state and counts failures in a row. It is fed finished outcomes, never a
call: its lock would be held during I/O, and its timeout follows the wall clock (DESIGN section 5). So time, leases,
generations and logins are ours, and no outcome reaches a breaker that is open. Knows no names, no database, no clock
(a `Moment` is handed in) and no lock: the registry serialises.

Invariants: at most one lease is live; an outcome counts only if its ticket is not older than the last opening or
closing, and a probe's only while its lease is the circuit's; a closed circuit admits everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import NamedTuple

from pybreaker import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN, CircuitBreaker, CircuitMemoryStorage

from proxy_app.circuit_logins import Logins
from proxy_app.circuit_rules import CircuitRules
from proxy_app.faults import Fault


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_STATES = {STATE_CLOSED: State.CLOSED, STATE_OPEN: State.OPEN, STATE_HALF_OPEN: State.HALF_OPEN}


class Moment(NamedTuple):
    """Now, on both clocks: monotonic seconds decide, unix seconds are for people and for other workers."""

    mono: float
    wall: float


class Ticket(NamedTuple):
    """Proof of admission to one circuit. `lease` is set for its one probe, `login` for a login that it has not rejected."""

    born: int
    lease: int = 0
    login: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A circuit as other workers need it. Times are unix seconds; `opened_at` is when it was last closed no more.

    `credential` is the digest of the login that was rejected last or, on closing, of the login that closed it.
    """

    state: State
    fault: Fault | None = None
    generation: int = 0
    opened_at: float | None = None
    until: float | None = None
    probe_at: float | None = None
    backoff_s: float = 0.0
    credential: str = field(default="", repr=False)


class Circuit:
    """The state machine. Methods that hear an outcome return True when it opened or closed the circuit."""

    __slots__ = (
        "_breaker", "_counter", "_credential", "_failed_at", "_lease", "_lease_ends", "_probe_at", "_rules", "_stamp",
        "_until", "backoff_s", "fault", "generation", "logins", "opened_at", "until_wall",
    )  # fmt: skip

    def __init__(self, rules: CircuitRules, stamp: Callable[[], int]) -> None:
        """`stamp` gives ever larger numbers: generations and leases of all circuits come from one sequence."""
        self._rules = rules
        self._stamp = stamp
        self._counter = CircuitMemoryStorage(STATE_CLOSED)
        self._breaker = CircuitBreaker(rules.failures, state_storage=self._counter, throw_new_error_on_trip=False)
        self._failed_at: list[float] = []
        self._lease = 0
        self._lease_ends = 0.0
        self._until = 0.0
        self._probe_at = inf
        self._credential = ""
        self.logins = Logins()
        self.generation = 0
        self.fault: Fault | None = None
        self.opened_at = 0.0
        self.until_wall = 0.0
        self.backoff_s = 0.0

    @property
    def is_closed(self) -> bool:
        return self._counter.state == STATE_CLOSED

    @property
    def is_spotless(self) -> bool:
        """Nothing to remember: a record of it is not worth its memory."""
        return self.generation == 0 and not self._failed_at and self.logins.is_empty

    def state(self, mono: float) -> State:
        """An open circuit whose time has come counts as half-open: the next request is its probe."""
        state = _STATES[self._counter.state]
        return State.HALF_OPEN if state is State.OPEN and mono >= self._until else state

    def condition(self, now: Moment) -> Condition:
        if self.is_closed:
            return Condition(State.CLOSED, generation=self.generation, credential=self._credential)
        probe_at = None if self._probe_at == inf else now.wall + self._probe_at - now.mono
        return Condition(
            self.state(now.mono), self.fault, self.generation, self.opened_at,
            self.until_wall, probe_at, self.backoff_s, self._credential,
        )  # fmt: skip

    def admit(self, mono: float, login: str, born: int) -> Ticket | None:
        """None: not now. Whoever gets a ticket with a lease must bring an outcome, or `release` it."""
        if self.is_closed:
            return Ticket(born)
        if self.logins.is_another(login, mono, self._until):
            return Ticket(born, login=login)
        if self._lease and mono < self._lease_ends:
            return None
        if self._counter.state == STATE_OPEN:
            if mono < min(self._until, self._probe_at):
                return None
            self._breaker.half_open()
        self._lease = self._stamp()
        self._lease_ends = mono + self._rules.lease_s
        return Ticket(self._lease, lease=self._lease)

    def release(self, ticket: Ticket) -> None:
        """Nothing was learned: the probe may be made again at once."""
        if ticket.lease and ticket.lease == self._lease:
            self._lease = 0

    def heeds(self, ticket: Ticket) -> bool:
        return self.generation <= ticket.born and (not ticket.lease or ticket.lease == self._lease)

    def succeeded(self, ticket: Ticket, now: Moment) -> bool:
        if not self.heeds(ticket):
            return False
        if self.is_closed:
            self._failed_at.clear()
            self._breaker.call(_succeed)
            return False
        if ticket.login:
            return self._close_for_new_login(ticket.login, now)
        self._breaker.call(_succeed)
        self._settle_closed("")
        return True

    def failed(self, ticket: Ticket, fault: Fault, now: Moment) -> bool:
        """One more failure in a row; a failed probe; or a failure of another login, which is then held off for a while."""
        if not self.heeds(ticket):
            return False
        if self.is_closed:
            return self._count(fault, now)
        if ticket.login:
            self.logins.reject(ticket.login, now.mono + self._rules.first_open_s)
            return False
        _feed_failure(self._breaker)
        if now.mono < self._until:
            # The probe of a window that is known to be used up told nothing about the window.
            self._lease = 0
            self._probe_at = now.mono + self._rules.probe_s
            return False
        self._settle_open(fault, now, None, "")
        return True

    def opened(self, ticket: Ticket, fault: Fault, now: Moment, reset: float | None, login: str) -> bool:
        """A fault that needs no second one. `reset` (unix seconds) is when the upstream says it will serve again."""
        if reset is not None and reset <= now.wall:
            reset = None
        if reset is None and not self.is_closed:
            return self.failed(ticket, fault, now)
        if not self.heeds(ticket):
            return False
        self._breaker.open()
        self._settle_open(fault, now, reset, login)
        return True

    def close(self) -> None:
        """An admin's wish: closed whatever it knew, the rejected logins included."""
        self._breaker.close()
        self._settle_closed("")

    def impose(self, condition: Condition, now: Moment) -> None:
        """Take over what another worker found."""
        if condition.state is State.CLOSED:
            self._impose_closed(condition, now)
        else:
            self._impose_open(condition, now)

    def _impose_closed(self, condition: Condition, now: Moment) -> None:
        self.logins.remember_closing(condition.credential, now.mono)
        if not self.is_closed:
            self._breaker.close()
            self._settle_closed(condition.credential)

    def _impose_open(self, condition: Condition, now: Moment) -> None:
        self._breaker.open()
        self._settle_open(condition.fault, now, condition.until, condition.credential)
        self.backoff_s = condition.backoff_s
        self.opened_at = now.wall if condition.opened_at is None else condition.opened_at
        if condition.probe_at is not None:
            self._probe_at = now.mono + condition.probe_at - now.wall

    def _count(self, fault: Fault, now: Moment) -> bool:
        self._failed_at = [at for at in self._failed_at if now.mono - at <= self._rules.window_s]
        # pybreaker knows no window: tell it how many of the failures in a row are young enough.
        self._counter.reset_counter()
        for _ in self._failed_at:
            self._counter.increment_counter()
        self._failed_at.append(now.mono)
        _feed_failure(self._breaker)
        if self.is_closed:
            return False
        self._settle_open(fault, now, None, "")
        return True

    def _close_for_new_login(self, login: str, now: Moment) -> bool:
        if not self.logins.may_close(login, now.mono, self._rules.probe_s):
            return False
        self.logins.remember_closing(login, now.mono)
        self._breaker.close()
        self._settle_closed(login)
        return True

    def _settle_open(self, fault: Fault | None, now: Moment, reset: float | None, login: str) -> None:
        if reset is None:
            self.backoff_s = min(2 * self.backoff_s or self._rules.first_open_s, self._rules.reset_s)
            wait_s = self.backoff_s
        else:
            wait_s = min(reset - now.wall, self._rules.longest_for(fault))
        self._until = now.mono + wait_s
        self.until_wall = now.wall + wait_s
        self.opened_at = self.opened_at or now.wall
        self.fault = fault
        self._credential = login
        if fault is Fault.PLAN_EXHAUSTED:
            self._probe_at = now.mono + self._rules.probe_s
            self.logins.reject(login, self._until)
        else:
            self._probe_at = inf
            self.logins.forget_rejected()
        self._begin_generation()

    def _settle_closed(self, login: str) -> None:
        self.logins.forget_rejected()
        self.fault = None
        self.opened_at = self.backoff_s = 0.0
        self._credential = login
        self._begin_generation()

    def _begin_generation(self) -> None:
        self._lease = 0
        self._failed_at.clear()
        self.generation = self._stamp()


class _Failed(Exception):
    """What a breaker is fed for a failure; it hands it back."""


def _succeed() -> None:
    return None


def _fail() -> None:
    raise _Failed


def _feed_failure(breaker: CircuitBreaker) -> None:
    with suppress(_Failed):
        breaker.call(_fail)
