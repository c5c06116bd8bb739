"""The table `circuits`: how workers tell each other which upstream is not to be asked (SPEC section 5).

Knows rows, not rules. Invariant: whoever writes takes the next number of `revisions.circuits` first and holds that row to
the end of the transaction, so rows become visible in the order of their revisions and the last writer wins. A reader that
asks for what is newer than the last it saw misses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, or_, select, update

from core.db import upsert
from core.models import circuits, revisions
from core.threads import paced

OPEN = "open"
CLOSED = "closed"
KEPT_FOR = timedelta(days=1)
_MOST_OF_A_KEY = 100


@dataclass(frozen=True, slots=True)
class CircuitRow:
    """One circuit. `holder` is the access key's or the Bedrock key's id, by the provider; `state` is OPEN or CLOSED.

    `credential` is a keyed digest, 16 hex digits or empty: never to be logged or shown.
    """

    provider: str
    holder: str
    family: str
    state: str
    fault: str = ""
    credential: str = field(default="", repr=False)
    generation: int = 0
    opened_at: datetime | None = None
    until: datetime | None = None
    probe_at: datetime | None = None
    backoff_s: float = 0.0
    worker: str = ""
    revision: int = 0


def fits(holder: str, family: str) -> bool:
    """Whether both have room in their columns. A client can ask for a model of any name; one bad row would fail its batch."""
    return len(holder) <= 40 and len(family) <= 200 and (holder + family).isprintable()


def name_of(provider: str, holder: str, family: str) -> str:
    """Of one circuit: the key of its row."""
    return f"{provider}/{holder}/{family}"


def write_circuits(connection: Connection, rows: Sequence[CircuitRow], now: datetime) -> int:
    """Write the rows, each circuit at most once, whatever they say of `revision`: all get the new one, which is returned."""
    revision = _take_revision(connection)
    upsert(connection, circuits, [_values(row, revision, now) for row in rows], ["name"])
    return revision


def close_circuit(connection: Connection, provider: str, holder: str, family: str, now: datetime) -> int:
    """An admin's wish: closed in every worker at its next tick. Returns the revision."""
    return write_circuits(connection, [CircuitRow(provider, holder, family, CLOSED)], now)


def circuits_since(connection: Connection, seen: int) -> tuple[int, list[CircuitRow]]:
    """The rows written after revision `seen`, oldest first, and the revision they really begin after.

    That is 0, so every row, when the database counts less than was seen already: it was restored from an older copy.
    """
    latest = connection.execute(select(revisions.c.circuits)).scalar_one()
    after = seen if latest >= seen else 0
    rows = connection.execute(select(circuits).where(circuits.c.revision > after).order_by(circuits.c.revision))
    return after, [_row(row) for row in paced(rows.mappings())]


def circuits_of(connection: Connection, holders: Collection[str], now: datetime) -> list[CircuitRow]:
    """Those of these access keys and Bedrock keys that are open and whose time has not come, the longest open first."""
    is_open = and_(circuits.c.state == OPEN, circuits.c.until > now)
    held = or_(circuits.c.access_key_id.in_(holders), circuits.c.bedrock_key_id.in_(holders))
    query = select(circuits).where(is_open, held).order_by(circuits.c.opened_at, circuits.c.name).limit(_MOST_OF_A_KEY)
    return [_row(row) for row in connection.execute(query).mappings()]


def delete_stale(connection: Connection, now: datetime) -> int:
    """Rows that nobody needs: closed for more than a day, or open with a time that is over for more than a day."""
    limit = now - KEPT_FOR
    _take_revision(connection)
    is_over = and_(circuits.c.updated_at < limit, or_(circuits.c.state == CLOSED, circuits.c.until < limit))
    return int(connection.execute(delete(circuits).where(is_over)).rowcount)


def _take_revision(connection: Connection) -> int:
    statement = update(revisions).values(circuits=revisions.c.circuits + 1).returning(revisions.c.circuits)
    return int(connection.execute(statement).scalar_one())


def _values(row: CircuitRow, revision: int, now: datetime) -> dict[str, Any]:
    is_plan = row.provider == "plan"
    return {
        "name": name_of(row.provider, row.holder, row.family),
        "provider": row.provider,
        "access_key_id": row.holder if is_plan else "",
        "bedrock_key_id": "" if is_plan else row.holder,
        "family": row.family,
        "state": row.state,
        "fault": row.fault,
        "credential": row.credential,
        "generation": row.generation,
        "opened_at": row.opened_at,
        "until": row.until,
        "probe_at": row.probe_at,
        "backoff_s": row.backoff_s,
        "worker": row.worker,
        "revision": revision,
        "updated_at": now,
    }


def _row(found: Any) -> CircuitRow:
    return CircuitRow(
        provider=found["provider"],
        holder=found["access_key_id"] or found["bedrock_key_id"],
        family=found["family"],
        state=found["state"],
        fault=found["fault"],
        credential=found["credential"],
        generation=found["generation"],
        opened_at=found["opened_at"],
        until=found["until"],
        probe_at=found["probe_at"],
        backoff_s=found["backoff_s"],
        worker=found["worker"],
        revision=found["revision"],
    )
