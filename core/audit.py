"""The audit log: every change an admin made, with what was before and after (SPEC sections 9, 11).

Functions on a Connection: an entry is written in the transaction of the change itself, so neither can be without the other.
Invariants: entries are never changed, only deleted when they are older than the retention; no secret is in one, for
callers hand in what may be shown; what they hand in is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, insert, or_, select

from core.actor import Actor
from core.admin_models import audit
from core.ids import new_id
from core.keyset import By, Order, Page, Place

_MOST_CHARS = 20_000  # of one document

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. `action` is noun and verb ("access_key.rotate"), `target` the id of what was changed.

    `before` and `after` hold only what differs; empty where there was nothing before, or is nothing after.
    """

    id: str
    at: datetime
    admin_id: str
    username: str
    via: str
    address: str
    action: str
    target: str
    before: Document
    after: Document


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries; empty fields take all. `action` may be a noun alone: "access_key" finds all that was done to any."""

    admin_id: str = ""
    action: str = ""
    target: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to what."""

    action: str
    target: str
    before: Document
    after: Document


def record(connection: Connection, actor: Actor, change: Change, now: datetime) -> None:
    """Write it down. What is the same before and after is left out."""
    before, after = _differing(change.before, change.after)
    who = {"admin_id": actor.admin_id, "username": actor.username, "via": actor.via, "address": actor.address}
    what = {"action": change.action, "target": change.target, "before": _text(before), "after": _text(after)}
    connection.execute(insert(audit), [{"id": new_id("aud"), "at": now, **who, **what}])


def entries(connection: Connection, wanted: Filter, limit: int, after: Place | None = None) -> Page[Entry]:
    """The latest first."""
    order = Order((By(audit.c.at, is_down=True), By(audit.c.id, is_down=True)))
    return order.page(connection, _filtered(wanted), limit, _entry, after)


def _filtered(wanted: Filter) -> Select[Any]:
    query = select(audit)
    if wanted.admin_id:
        query = query.where(audit.c.admin_id == wanted.admin_id)
    if wanted.action:
        query = query.where(or_(audit.c.action == wanted.action, audit.c.action.startswith(f"{wanted.action}.", autoescape=True)))
    if wanted.target:
        query = query.where(audit.c.target == wanted.target)
    if wanted.since is not None:
        query = query.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(audit.c.at < wanted.until)
    return query


def _differing(before: Document, after: Document) -> tuple[Document, Document]:
    if not before or not after:
        return before, after
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return ({k: v for k, v in before.items() if k in changed}, {k: v for k, v in after.items() if k in changed})


def _text(document: Document) -> str:
    text = orjson.dumps(document, default=str).decode()
    return text if len(text) <= _MOST_CHARS else orjson.dumps({"too_long": len(text)}).decode()


def _entry(row: Row[Any]) -> Entry:
    who = (row.id, row.at, row.admin_id, row.username, row.via, row.address)
    return Entry(*who, row.action, row.target, orjson.loads(row.before), orjson.loads(row.after))
