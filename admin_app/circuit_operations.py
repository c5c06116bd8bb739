"""Open circuits as admins see them, and closing one (SPEC section 5)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from admin_app.cursors import after_of, listed
from admin_app.fields import Cursor, Limit
from admin_app.operation import Doing, Listed, Nothing, Offer, Operation, Shape, Shown, asks, changes
from core.access import NotFound
from core.actor import Role
from core.circuit_rows import OPEN, close_circuit
from core.reports import CircuitLine, open_circuit, open_circuits

CircuitId = Annotated[str, Meta(min_length=1, max_length=400, description="the id of a circuit")]
_SEPARATOR = "/"


class CircuitShown(Shown, frozen=True, kw_only=True):
    """An upstream that is not asked until `until`. `holder` is an access key's id (plan) or a Bedrock key's (bedrock).

    `family`: a model family or a model; "*" is every one. `probe_at`: when one real request is let through before.
    """

    id: str
    provider: str
    holder: str
    prefix: str
    user_name: str
    family: str
    fault: str
    opened_at: datetime | None
    until: datetime
    probe_at: datetime | None


class OpenCircuits(Shape, frozen=True, kw_only=True):
    """The longest open first."""

    limit: Limit = 100
    cursor: Cursor = ""


class TheCircuit(Shape, frozen=True, kw_only=True):
    circuit_id: CircuitId


def _list(doing: Doing, taken: OpenCircuits) -> Listed[CircuitShown]:
    return listed(doing, taken, open_circuits(doing.connection, doing.now, taken.limit, after_of(doing, taken)), shown)


def _get(doing: Doing, taken: TheCircuit) -> CircuitShown:
    return shown(_open(doing, taken.circuit_id))


def _close(doing: Doing, taken: TheCircuit) -> Nothing:
    line = _open(doing, taken.circuit_id)
    close_circuit(doing.connection, line.provider, line.holder, line.family, doing.now)
    known = {"provider": line.provider, "family": line.family, "fault": line.fault, "until": line.until}
    doing.note("circuit.close", line.holder, {**known, "state": OPEN}, {})
    return Nothing()


def _open(doing: Doing, identity: str) -> CircuitLine:
    """Raises NotFound."""
    return open_circuit(doing.connection, *_name(identity), doing.now)


def shown(line: CircuitLine) -> CircuitShown:
    return CircuitShown(id=circuit_id(line.provider, line.holder, line.family), **asdict(line))


def circuit_id(provider: str, holder: str, family: str) -> str:
    """For addresses: a family may hold any character."""
    return base64.urlsafe_b64encode(_SEPARATOR.join((provider, holder, family)).encode()).decode().rstrip("=")


def _name(identity: str) -> tuple[str, str, str]:
    try:
        provider, holder, family = base64.urlsafe_b64decode(identity + "=" * (-len(identity) % 4)).decode().split(_SEPARATOR, 2)
    except (binascii.Error, ValueError):
        raise NotFound("there is no such circuit") from None
    if "\0" in provider + holder + family:  # databases keep none
        raise NotFound("there is no such circuit")
    return provider, holder, family


GET = Operation("getCircuit", "One open circuit", Role.VIEWER, TheCircuit, CircuitShown, asks(_get))  # for pages
LIST = Operation("listCircuits", "Open circuits", Role.VIEWER, OpenCircuits, Listed[CircuitShown], asks(_list))
CLOSE = Operation("closeCircuit", "Close a circuit", Role.EDITOR, TheCircuit, Nothing, changes(_close))

OFFERS = (
    Offer("GET", "/circuits", LIST, tag="Circuits"),
    Offer("DELETE", "/circuits/{circuit_id}", CLOSE, 204, tag="Circuits"),
)
