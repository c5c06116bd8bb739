"""What several pages show: sums by provider, and which circuits are open; bounded whatever the tables hold.

Functions on a Connection, to be called inside `Database.read`. Knows no page. Invariants: a fixed number of queries, each with
a limit or over a range of an index, so that 1,000 users, 10,000 keys and a million requests cost what ten do; nothing
secret is read (no hash, no sealed key, no digest of a credential).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, literal, select

from core.access import NotFound
from core.circuit_rows import OPEN, name_of
from core.columns import UtcTime
from core.keyset import By, Order, Page, Place
from core.models import access_keys, bedrock_keys, circuits, users

_NEVER = literal(datetime(1970, 1, 1, tzinfo=UTC), UtcTime)


@dataclass(frozen=True, slots=True)
class Sums:
    """What one provider did in a range of time; `provider` is empty where none answered. `input_tokens` holds cached ones."""

    provider: str
    requests: int = 0
    errors: int = 0
    fallbacks: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0
    list_value_micros: int = 0


@dataclass(frozen=True, slots=True)
class CircuitLine:
    """An open circuit. `holder` is the id of the access key or Bedrock key; `family` is "*" where it holds for every model."""

    provider: str
    holder: str
    prefix: str
    user_name: str
    family: str
    fault: str
    opened_at: datetime | None
    until: datetime
    probe_at: datetime | None


@dataclass(frozen=True, slots=True)
class Part:
    """One page of a longer list. `total` counts all of it."""

    lines: tuple[Any, ...]
    total: int


def open_circuits(connection: Connection, now: datetime, limit: int, after: Place | None = None) -> Page[CircuitLine]:
    """Those whose time has not come, the longest open first, with whom they hold up."""
    longest = By(func.coalesce(circuits.c.opened_at, _NEVER))
    return Order((longest, By(circuits.c.name))).page(connection, _open(now), limit, _circuit, after)


def open_circuit(connection: Connection, provider: str, holder: str, family: str, now: datetime) -> CircuitLine:
    """One of them. Raises NotFound."""
    row = connection.execute(_open(now).where(circuits.c.name == name_of(provider, holder, family))).one_or_none()
    if row is None:
        raise NotFound("this circuit is not open (any more)")
    return _circuit(row)


def _open(now: datetime) -> Select[Any]:
    owner = func.coalesce(access_keys.c.user_id, bedrock_keys.c.user_id)
    source = (
        circuits.outerjoin(access_keys, access_keys.c.id == circuits.c.access_key_id)
        .outerjoin(bedrock_keys, bedrock_keys.c.id == circuits.c.bedrock_key_id)
        .outerjoin(users, users.c.id == owner)
    )
    names = (func.coalesce(access_keys.c.prefix, "").label("prefix"), func.coalesce(users.c.name, "").label("user_name"))
    return select(circuits, *names).select_from(source).where(circuits.c.state == OPEN, circuits.c.until > now)


def _circuit(row: Row[Any]) -> CircuitLine:
    holder = row.access_key_id or row.bedrock_key_id
    owner = (row.provider, holder, row.prefix, row.user_name)
    return CircuitLine(*owner, row.family, row.fault, row.opened_at, row.until, row.probe_at)
