"""Open circuits as admins see them, and closing one (SPEC section 5)."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from admin_app.operation import Doing, Listed, Nothing, Offer, Operation, Shape, Shown, asks, changes
from core.access import NotFound
from core.actor import Role
from core.circuit_rows import CircuitRow, close_circuit
from core.circuit_rows import open_circuits as open_rows
from core.reports import CircuitLine, open_circuits

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
    """The hundred longest open."""


class TheCircuit(Shape, frozen=True, kw_only=True):
    circuit_id: CircuitId


def _list(doing: Doing, _: OpenCircuits) -> Listed[CircuitShown]:
    return Listed(data=[shown(line) for line in open_circuits(doing.connection, doing.now).lines])


def _close(doing: Doing, taken: TheCircuit) -> Nothing:
    name = _name(taken.circuit_id)
    row = next((row for row in open_rows(doing.connection, doing.now) if _named(row) == name), None)
    if row is None:
        raise NotFound("this circuit is not open (any more)")
    close_circuit(doing.connection, row.provider, row.holder, row.family, doing.now)
    known = {"provider": row.provider, "family": row.family, "fault": row.fault, "until": row.until}
    doing.note("circuit.close", row.holder, {**known, "state": row.state}, {})
    return Nothing()


def shown(line: CircuitLine) -> CircuitShown:
    return CircuitShown(
        id=circuit_id(line.provider, line.holder, line.family),
        provider=line.provider,
        holder=line.holder,
        prefix=line.prefix,
        user_name=line.user_name,
        family=line.family,
        fault=line.fault,
        opened_at=line.opened_at,
        until=line.until,
        probe_at=line.probe_at,
    )


def circuit_id(provider: str, holder: str, family: str) -> str:
    """For addresses: a family may hold any character."""
    return base64.urlsafe_b64encode(_SEPARATOR.join((provider, holder, family)).encode()).decode().rstrip("=")


def _name(identity: str) -> tuple[str, ...]:
    try:
        text = base64.urlsafe_b64decode(identity + "=" * (-len(identity) % 4)).decode()
    except (binascii.Error, ValueError):
        raise NotFound("there is no such circuit") from None
    return tuple(text.split(_SEPARATOR, 2))


def _named(row: CircuitRow) -> tuple[str, ...]:
    return row.provider, row.holder, row.family


LIST = Operation("listCircuits", "Open circuits", Role.VIEWER, OpenCircuits, Listed[CircuitShown], asks(_list))
CLOSE = Operation("closeCircuit", "Close a circuit", Role.EDITOR, TheCircuit, Nothing, changes(_close))

OFFERS = (
    Offer("GET", "/circuits", LIST, tag="Circuits"),
    Offer("DELETE", "/circuits/{circuit_id}", CLOSE, 204, tag="Circuits"),
)
