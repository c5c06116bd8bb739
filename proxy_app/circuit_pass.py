"""The answer to "may I ask this upstream?": a `Pass` that is told once how it went, or a `Refused`.

Knows no rule: what an end means is the registry's business, met here as `Court`. Invariant: of all that is told to one
pass, the first word counts and the rest is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from proxy_app.circuit_names import CircuitName
from proxy_app.circuit_state import Ticket
from proxy_app.faults import Fault


class Court(Protocol):
    """Who hears how requests went, and says what that made of the circuits."""

    def describe(self, access_key_id: str, family: str) -> str: ...

    def note_success(self, admission: Pass) -> None: ...

    def note_failure(self, admission: Pass, fault: Fault, open_until: float | None, whole_account: bool) -> None: ...

    def note_nothing(self, admission: Pass) -> None: ...


@dataclass(frozen=True, slots=True)
class Refused:
    """The upstream is not to be asked before `until_wall` (unix seconds; past while a probe is under way).

    `reason` is as `Circuits.describe` words it.
    """

    until_wall: float
    reason: str
    fault: Fault | None


class Pass:
    """Admission of one request to one upstream. Tell it the end once; what is told later is ignored.

    A probe should be told `succeeded` as soon as the upstream has committed, since all others wait for its word; any
    other request at the end of its answer, so that a stream that broke counts as the failure it was.
    """

    __slots__ = ("_court", "_done", "admitted_at", "born", "credential", "name", "tickets")

    def __init__(self, court: Court, name: CircuitName, born: int, admitted_at: float, credential: bytes) -> None:
        self._court = court
        self._done = False
        self.name = name
        self.born = born
        self.admitted_at = admitted_at
        self.credential = credential
        self.tickets: dict[CircuitName, Ticket] | None = None

    @property
    def is_probe(self) -> bool:
        """This request decides whether a circuit that is not closed closes."""
        return self.tickets is not None and any(ticket.lease or ticket.login for ticket in self.tickets.values())

    def ticket(self, name: CircuitName) -> Ticket:
        return (self.tickets or {}).get(name) or Ticket(self.born)

    def succeeded(self) -> None:
        if self._finish():
            self._court.note_success(self)

    def failed(self, fault: Fault, open_until: float | None = None, whole_account: bool = False) -> None:
        """`open_until` (unix seconds) is a reset the upstream announced, for every family if `whole_account`."""
        if self._finish():
            self._court.note_failure(self, fault, open_until, whole_account)

    def neutral(self) -> None:
        """Nothing was learned of the upstream: a probe may be made again at once."""
        if self._finish():
            self._court.note_nothing(self)

    def circuit(self) -> str:
        """What another request of the same key and family would meet now; see `Circuits.describe`."""
        return self._court.describe(self.name.access_key_id, self.name.family)

    def _finish(self) -> bool:
        first, self._done = not self._done, True
        return first
