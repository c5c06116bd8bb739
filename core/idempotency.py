"""Doing something once, however often it is asked for: the keys that API clients send along (SPEC section 11).

Functions on a Connection. Knows no HTTP and no operation. Invariants: a change and the answer to it are kept in one transaction,
or neither is; of several who come with one key at a time only one works, and whoever was overtaken cannot commit; no secret is
in an answer, for callers leave them out, and of what was asked only a keyed digest is stored.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    and_,
    delete,
    select,
    update,
)

from core.access import Refused
from core.columns import UtcTime
from core.db import insert_new
from core.ids import new_id
from core.models import metadata

KEPT_FOR = timedelta(hours=24)
ABANDONED_AFTER = timedelta(minutes=2)  # longer than any request lives; should it live all the same, `keep` refuses it

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("admin_id", String(40), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("holder", String(40), nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("has_changed", Boolean, nullable=False),
    Column("status", Integer),
    Column("answer", Text),
    Index("ix_idempotency_keys_began_at", "began_at"),
)


class OtherRequest(Refused):
    """The key was used for something else."""


class UnderWay(Refused):
    """Somebody works on it at this moment, or took it over."""


class OutcomeUnknown(Refused):
    """Something was changed, and the worker died before it could say what."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what, under which key. `digest` is that of method, path and body."""

    admin_id: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Held:
    """The key is ours to work under."""

    asked: Asked
    holder: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What was answered the first time, without its secrets."""

    status: int
    answer: str


def digest_of(server_secret: str, *parts: bytes) -> str:
    """Of what was asked. Keyed, since a body may hold a password that could be guessed."""
    whole = b"".join(len(part).to_bytes(8) + part for part in (b"idempotency", *parts))
    return hmac.new(server_secret.encode(), whole, hashlib.sha256).hexdigest()


def take(connection: Connection, asked: Asked, now: datetime) -> Held | Kept:
    """The key for us to work under, or the answer that was given. Raises OtherRequest, UnderWay, OutcomeUnknown."""
    table, mine = idempotency_keys, _mine(asked)
    connection.execute(delete(table).where(mine, table.c.began_at < now - KEPT_FOR))
    held = Held(asked, new_id("idm"))
    who = {"admin_id": asked.admin_id, "key": asked.key, "digest": asked.digest}
    if insert_new(connection, table, {**who, "holder": held.holder, "began_at": now, "has_changed": False}):
        return held
    row = connection.execute(select(table).where(mine).with_for_update()).one_or_none()
    if row is None:  # given back between the two statements
        raise UnderWay("another request with this key has just ended; try again")
    if not hmac.compare_digest(row.digest, asked.digest):
        raise OtherRequest("this Idempotency-Key was used for another request")
    if row.answer is not None:
        return Kept(row.status, row.answer)
    if row.has_changed:
        raise OutcomeUnknown("the first request with this key changed something and got no further; look what is there")
    if row.began_at > now - ABANDONED_AFTER:
        raise UnderWay("the first request with this key is still being worked on")
    connection.execute(update(table).where(mine).values(holder=held.holder, began_at=now))
    return held


def keep(connection: Connection, held: Held, kept: Kept) -> None:
    """The answer, in the transaction of the change. Raises UnderWay where somebody took the key over: the change must not be."""
    _write(connection, held, {"status": kept.status, "answer": kept.answer, "has_changed": True})


def note_change(connection: Connection, held: Held) -> None:
    """Something is changed in this transaction, and the answer comes later. Raises UnderWay as `keep`."""
    _write(connection, held, {"has_changed": True})


def give_back(connection: Connection, held: Held) -> None:
    """Nothing came of it: the next request with this key may try. Does nothing where something was changed."""
    table = idempotency_keys.c
    connection.execute(
        delete(idempotency_keys).where(_mine(held.asked), table.holder == held.holder, table.has_changed.is_(False))
    )


def purge(connection: Connection, now: datetime) -> int:
    """Delete what was kept long enough; returns how many."""
    return connection.execute(delete(idempotency_keys).where(idempotency_keys.c.began_at < now - KEPT_FOR)).rowcount


def _write(connection: Connection, held: Held, values: dict[str, object]) -> None:
    table = idempotency_keys
    mine = and_(_mine(held.asked), table.c.holder == held.holder)
    if connection.execute(update(table).where(mine).values(**values)).rowcount == 0:
        raise UnderWay("another request with this key took it over")


def _mine(asked: Asked) -> ColumnElement[bool]:
    return and_(idempotency_keys.c.admin_id == asked.admin_id, idempotency_keys.c.key == asked.key)
