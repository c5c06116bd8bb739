"""The table `repairs`: what Bedrock was found to refuse, by Bedrock key, region and model (SPEC section 6).

Knows rows, not what follows from them. Invariant: whoever writes raises `revisions.repairs` first and holds that row to the
end of the transaction, so writers read each other's rows and none is lost; with every write expired rows go and the bounds
hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, and_, delete, func, select

from core.access import NotFound
from core.keyset import By, Order, Page, Place
from core.models import repairs
from core.revision import bump
from core.threads import paced

REFUSED = "refused"
SUSPECT = "suspect"
UNTESTED = "untested"
_PLACE = (repairs.c.bedrock_key_id, repairs.c.region, repairs.c.model, repairs.c.kind, repairs.c.name)
_BY_NAME = Order(tuple(map(By, _PLACE)))


@dataclass(frozen=True, slots=True)
class RepairRow:
    """One name. `kind` is "beta" or "field"; `cohort` numbers the suspects of which one at least is refused."""

    bedrock_key_id: str
    region: str
    model: str
    kind: str
    name: str
    standing: str
    cohort: int
    learned_at: datetime
    expires_at: datetime

    @property
    def id(self) -> str:
        """The same name at the same place always has the same."""
        parts = (self.bedrock_key_id, self.region, self.model, self.kind, self.name)
        return "rep_" + blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Change:
    """`rows` of the place as they are -> as they shall be."""

    bedrock_key_id: str
    region: str
    model: str
    apply: Callable[[list[RepairRow]], list[RepairRow]]


@dataclass(frozen=True, slots=True)
class Room:
    """Rows at most: of one Bedrock key, and in all."""

    per_key: int
    total: int


def fits(bedrock_key_id: str, region: str, model: str) -> bool:
    """Whether all have room in their columns: a client can ask for a model of any name."""
    whole = bedrock_key_id + region + model
    return len(bedrock_key_id) <= 40 and len(region) <= 40 and len(model) <= 200 and whole.isprintable()


def list_repairs(connection: Connection, now: datetime) -> list[RepairRow]:
    """What is in force, by place and name."""
    rows = connection.execute(_BY_NAME.sorted(select(repairs).where(repairs.c.expires_at > now)))
    return [_row(row) for row in paced(rows.mappings())]


def repairs_page(
    connection: Connection, standings: Collection[str], now: datetime, limit: int, after: Place | None = None
) -> Page[RepairRow]:
    """As `list_repairs`, in part: those of these standings."""
    query = select(repairs).where(repairs.c.expires_at > now, repairs.c.standing.in_(standings))
    return _BY_NAME.page(connection, query, limit, lambda row: _row(row._mapping), after)


def write_repairs(connection: Connection, changes: Sequence[Change], room: Room, now: datetime) -> None:
    """Carries the changes out, one after the other; every worker hears of it at its next tick."""
    bump(connection, "repairs")
    connection.execute(delete(repairs).where(repairs.c.expires_at <= now))
    for change in changes:
        place = and_(
            repairs.c.bedrock_key_id == change.bedrock_key_id, repairs.c.region == change.region, repairs.c.model == change.model
        )
        before = [_row(row) for row in connection.execute(select(repairs).where(place)).mappings()]
        after = change.apply(before)
        if after != before:
            connection.execute(delete(repairs).where(place))
            if after:
                connection.execute(repairs.insert(), [_values(row) for row in after])
    for key_id in sorted({change.bedrock_key_id for change in changes}):
        _trim(connection, room.per_key, key_id)
    _trim(connection, room.total)


def clear_repairs(connection: Connection, repair_id: str | None = None) -> int:
    """Forget one, or all (None). Returns how many went. Raises NotFound.

    A suspect goes with all that are suspected or untested at its place: they are one question, and half of it proves nothing.
    """
    bump(connection, "repairs")
    if repair_id is None:
        return int(connection.execute(delete(repairs)).rowcount)
    found = connection.execute(select(repairs).where(repairs.c.id == repair_id)).mappings().one_or_none()
    if found is None:
        raise NotFound(f"there is no learned repair {repair_id!r}")
    chosen = repairs.c.id == repair_id
    if found["standing"] in (SUSPECT, UNTESTED):
        at_place = (repairs.c[name] == found[name] for name in ("bedrock_key_id", "region", "model"))
        chosen = and_(*at_place, repairs.c.standing.in_((SUSPECT, UNTESTED)))
    return int(connection.execute(delete(repairs).where(chosen)).rowcount)


def _trim(connection: Connection, most: int, key_id: str | None = None) -> None:
    """Whole places go, those longest unchanged first."""
    place = (repairs.c.bedrock_key_id, repairs.c.region, repairs.c.model)
    sizes = select(*place, func.count().label("size")).group_by(*place).order_by(func.max(repairs.c.learned_at), *place)
    found = connection.execute(sizes if key_id is None else sizes.where(repairs.c.bedrock_key_id == key_id)).all()
    surplus = sum(row.size for row in found) - most
    for row in found:
        if surplus <= 0:
            return
        connection.execute(delete(repairs).where(*(column == value for column, value in zip(place, row[:3], strict=True))))
        surplus -= row.size


def _values(row: RepairRow) -> dict[str, Any]:
    return {"id": row.id} | {name: getattr(row, name) for name in RepairRow.__slots__}


def _row(found: Any) -> RepairRow:
    return RepairRow(**{name: found[name] for name in RepairRow.__slots__})
