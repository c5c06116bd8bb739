"""Which upstreams may be asked now: every circuit of this worker, under its name (SPEC section 5).

Before an upstream is asked, `admit` gives a `Pass` or a `Refused`; afterwards the pass is told once how it went. Knows no
HTTP and no database: transitions are handed to listeners, and what other workers found comes in through `apply`.

Invariant: a circuit costs memory only from its first failure on; for a key without one, `admit` is a set look-up. Safe
between greenlets and threads: the lock is held for microseconds and never while a listener runs.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock

from core.types import ProviderName
from proxy_app.circuit_names import ALL_FAMILIES, WORKER_WIDE, CircuitName, account_of, gates_of
from proxy_app.circuit_outage import OutageWatch
from proxy_app.circuit_pass import Pass, Refused
from proxy_app.circuit_rules import CircuitRules
from proxy_app.circuit_shelf import CircuitShelf
from proxy_app.circuit_state import Circuit, Condition, Moment, State, Ticket
from proxy_app.faults import POLICY, Effect, Fault

__all__ = ["ALL_FAMILIES", "WORKER_WIDE", "CircuitName", "CircuitView", "Circuits", "Pass", "Refused", "State", "Transition"]

_UNREACHED = (Fault.PLAN_UNREACHABLE, Fault.PLAN_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Transition:
    """A circuit opened (or its reset moved) or closed. Half-open is this worker's own affair and never told."""

    name: CircuitName
    condition: Condition


@dataclass(frozen=True, slots=True)
class CircuitView:
    """A circuit that is not closed, for people. `until` and `opened_at` are unix seconds."""

    name: CircuitName
    state: State
    fault: Fault | None
    until: float
    opened_at: float
    generation: int


class Circuits:
    """The registry. `clock` is monotonic seconds, `wall` unix seconds; `digest_key` turns credentials into digests."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        digest_key: bytes,
        rules: CircuitRules | None = None,
        on_change: Callable[[Transition], None] | None = None,
    ) -> None:
        """Listeners run in the middle of requests: they may only enqueue."""
        self._rules = rules or CircuitRules()
        self._clock = clock
        self._wall = wall
        self._digest_key = digest_key
        self._listeners = [on_change] if on_change else []
        self._lock = Lock()
        self._stamps = 0
        self._shelf = CircuitShelf(self._rules.capacity, lambda: Circuit(self._rules, self._next_stamp))
        outage_s = self._rules.outage_open_s
        self._worker = Circuit(replace(self._rules, first_open_s=outage_s, reset_s=outage_s), self._next_stamp)
        self._outage = OutageWatch(self._rules.outage_keys, self._rules.outage_window_s)

    def subscribe(self, listener: Callable[[Transition], None]) -> None:
        """Also tell this one of every transition that arises here (not of those that `apply` brings)."""
        self._listeners.append(listener)

    def unix_time(self) -> float:
        return self._wall()

    def admit(self, name: CircuitName, credential: bytes = b"") -> Pass | Refused:
        """May this request go to this upstream now? The credential is only digested, and only for an exhausted circuit."""
        admission = Pass(self, name, self._stamps, self._clock(), credential)
        if not self._shelf.has_any(name.access_key_id) and self._worker.is_closed:
            return admission
        with self._lock:
            return self._consult(admission)

    def insist(self, name: CircuitName) -> Pass:
        """Past the circuit, which neither stops this request nor hears of it: there is nobody else to ask."""
        unheard = Pass(self, name, self._stamps, self._clock(), b"")
        unheard.neutral()
        return unheard

    def note_success(self, admission: Pass) -> None:
        name = admission.name
        if not self._shelf.has_any(name.access_key_id) and self._worker.is_closed and self._outage.is_empty:
            return
        with self._lock:
            now = self._now()
            if name.provider is ProviderName.PLAN:
                self._outage.disprove(admission.admitted_at)
            changes = [gate for gate in gates_of(name) if self._succeed(gate, admission.ticket(gate), now)]
            told = self._transitions(changes, now)
        self._tell(told)

    def note_failure(self, admission: Pass, fault: Fault, open_until: float | None, whole_account: bool) -> None:
        match POLICY[fault].effect:
            case Effect.NONE:
                self.note_nothing(admission)
            case Effect.SUCCESS:
                self.note_success(admission)
            case Effect.FAILURE | Effect.OPENS:
                self._note_fault(admission, fault, open_until, whole_account)

    def note_nothing(self, admission: Pass) -> None:
        if admission.tickets:
            with self._lock:
                self._release(admission.tickets)

    def snapshot(self) -> list[CircuitView]:
        """Everything that is not closed, the longest open first."""
        return self._views(lambda _: True)

    def views_of(self, holders: Collection[str]) -> list[CircuitView]:
        """Of these access keys and Bedrock keys alone, and of the worker as a whole."""
        if self._worker.is_closed and not any(map(self._shelf.has_any, holders)):
            return []
        return self._views(lambda name: name == WORKER_WIDE or name.access_key_id in holders)

    def _views(self, is_meant: Callable[[CircuitName], bool]) -> list[CircuitView]:
        mono = self._clock()
        with self._lock:
            circuits = [(WORKER_WIDE, self._worker), *self._shelf.items()]
            views = [
                CircuitView(name, it.state(mono), it.fault, it.until_wall, it.opened_at, it.generation)
                for name, it in circuits
                if not it.is_closed and is_meant(name)
            ]
        return sorted(views, key=lambda view: view.opened_at)

    def describe(self, access_key_id: str, family: str) -> str:
        """What a Plan request of this key and family meets now: "closed", "half_open", or "open until TIME FAULT"."""
        with self._lock:
            for gate in gates_of(CircuitName(access_key_id, ProviderName.PLAN, family)):
                circuit = self._find(gate)
                if circuit is not None and not circuit.is_closed:
                    return _words(circuit, self._clock())
        return State.CLOSED.value

    def close(self, name: CircuitName) -> None:
        """An admin's wish. Told to the listeners even when it is not open here, since it may be in other workers."""
        with self._lock:
            circuit = self._find(name)
            if circuit is None:
                told = [Transition(name, Condition(State.CLOSED))]
            else:
                circuit.close()
                told = self._transitions([name], self._now())
        self._tell(told)

    def apply(self, transition: Transition) -> None:
        """Take over what another worker found. Listeners are not told. An opening that is over changes nothing."""
        name, condition = transition.name, transition.condition
        with self._lock:
            now = self._now()
            if condition.state is not State.CLOSED:
                circuit = self._shelf.obtain(name) if (condition.until or 0.0) > now.wall else None
            else:
                # A closing that names a login deserves a record: the login may not close the circuit again so soon.
                circuit = self._shelf.obtain(name) if condition.credential else self._find(name)
            if circuit is not None:
                circuit.impose(condition, now)

    def _note_fault(self, admission: Pass, fault: Fault, open_until: float | None, whole_account: bool) -> None:
        name = admission.name
        is_account = whole_account and name.provider is ProviderName.PLAN
        target = account_of(name) if is_account else name
        with self._lock:
            now = self._now()
            changes = [gate for gate in gates_of(name) if gate != target and self._overhear(gate, admission, fault, now)]
            if self._blame(target, admission, fault, now, open_until):
                changes.append(target)
            told = self._transitions(changes, now)
        self._tell(told)

    def _consult(self, admission: Pass) -> Pass | Refused:
        tickets: dict[CircuitName, Ticket] = {}
        for gate in gates_of(admission.name):
            circuit = self._find(gate)
            if circuit is None:
                continue
            login = self._digest(admission.credential) if circuit.logins.has_rejected else ""
            ticket = circuit.admit(admission.admitted_at, login, admission.born)
            if ticket is None:
                self._release(tickets)
                return Refused(circuit.until_wall, _words(circuit, admission.admitted_at), circuit.fault)
            tickets[gate] = ticket
        admission.tickets = tickets
        return admission

    def _succeed(self, gate: CircuitName, ticket: Ticket, now: Moment) -> bool:
        circuit = self._find(gate)
        if circuit is None:
            return False
        closed = circuit.succeeded(ticket, now)
        if circuit.is_spotless and gate != WORKER_WIDE:
            self._shelf.forget(gate)
        return closed

    def _blame(self, target: CircuitName, admission: Pass, fault: Fault, now: Moment, reset: float | None) -> bool:
        circuit = self._shelf.obtain(target)
        ticket = admission.ticket(target)
        if POLICY[fault].effect is Effect.FAILURE:
            return circuit.failed(ticket, fault, now)
        login = self._digest(admission.credential) if fault is Fault.PLAN_EXHAUSTED else ""
        return circuit.opened(ticket, fault, now, reset, login)

    def _overhear(self, gate: CircuitName, admission: Pass, fault: Fault, now: Moment) -> bool:
        """What a fault of one circuit means for the others that the request came through."""
        ticket = admission.ticket(gate)
        circuit = self._find(gate)
        if gate == WORKER_WIDE:
            return self._overhear_outage(admission, ticket, fault, now)
        if circuit is None or not (ticket.lease or ticket.login):
            return False
        if gate != admission.name and fault is Fault.PLAN_EXHAUSTED:
            return circuit.succeeded(ticket, now)  # one family's window is used up, so the account's is not
        if gate != admission.name and ticket.lease:
            return circuit.failed(ticket, fault, now)
        circuit.release(ticket)
        return False

    def _overhear_outage(self, admission: Pass, ticket: Ticket, fault: Fault, now: Moment) -> bool:
        if fault not in _UNREACHED:
            # Any answer at all shows that the Plan is there.
            return bool(ticket.lease) and self._worker.succeeded(ticket, now)
        if ticket.lease:
            return self._worker.failed(ticket, fault, now)
        if not self._worker.is_closed or not self._worker.heeds(ticket):
            return False
        is_outage = self._outage.note(admission.name.access_key_id, now.mono)
        return is_outage and self._worker.opened(ticket, fault, now, None, "")

    def _release(self, tickets: dict[CircuitName, Ticket]) -> None:
        for gate, ticket in tickets.items():
            circuit = self._find(gate)
            if circuit is not None:
                circuit.release(ticket)

    def _find(self, name: CircuitName) -> Circuit | None:
        return self._worker if name == WORKER_WIDE else self._shelf.find(name)

    def _digest(self, credential: bytes) -> str:
        return hmac.digest(self._digest_key, credential, "sha256")[:8].hex() if credential else ""

    def _now(self) -> Moment:
        return Moment(self._clock(), self._wall())

    def _next_stamp(self) -> int:
        self._stamps += 1
        return self._stamps

    def _transitions(self, names: list[CircuitName], now: Moment) -> list[Transition]:
        return [Transition(name, circuit.condition(now)) for name in names if (circuit := self._find(name)) is not None]

    def _tell(self, transitions: list[Transition]) -> None:
        for transition in transitions:
            for listener in self._listeners:
                listener(transition)


def _words(circuit: Circuit, mono: float) -> str:
    state = circuit.state(mono)
    if state is not State.OPEN:
        return state.value
    until = datetime.fromtimestamp(round(circuit.until_wall), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"open until {until} {circuit.fault.value if circuit.fault else ''}".rstrip()
