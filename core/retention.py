"""What was kept long enough goes, a batch at a time. Hourly sums stay for good.

Knows how rows go and when the job is due, not which tables there are (core/kept.py). Invariants: an hour's request records go
all or not at all, and only after the mark says so, so that whoever compares records with sums, or brings records back, leaves
hours alone that were purged; several may purge at a time (each takes rows that no other holds); a batch is one short
transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Column, Connection, String, Table, delete, or_, select, tuple_, update

from core.db import Database
from core.models import jobs

PURGE = "purge"
BATCH = 1000
REST_S = 0.05  # between batches: a day's records go within minutes, and nobody waits for them


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of `table` go so many `days` after `since`: a time, or a month like `2026-11`, counted from its end.

    `is_marked`: others must know what went, so the mark moves first.
    """

    name: str
    table: Table
    since: Column[str] | Column[datetime]
    days: int
    is_marked: bool = False


def purge(database: Database, kept: Kept, now: datetime, rest: Callable[[float], None]) -> int:
    """Delete the rows of whole hours (or months) that were kept long enough; returns how many. Raises DatabaseAway."""
    before = (now.astimezone(UTC) - timedelta(days=kept.days)).replace(minute=0, second=0, microsecond=0)
    if kept.is_marked:
        database.run(lambda connection: _move_mark(connection, before))
    purged = 0
    while True:
        batch = database.run(lambda connection: delete_batch(connection, kept, before, BATCH))
        purged += batch
        if batch < BATCH:
            return purged
        rest(REST_S)


def delete_batch(connection: Connection, kept: Kept, before: datetime, limit: int) -> int:
    """The oldest rows before that time, at most `limit`, without those that somebody else deletes just now."""
    keys = list(kept.table.primary_key)
    key = keys[0] if len(keys) == 1 else tuple_(*keys)
    # A month of any time zone that is not over yet is never before the UTC month of a day ago.
    bound = f"{before:%Y-%m}" if isinstance(kept.since.type, String) else before
    oldest = select(*keys).where(kept.since < bound).order_by(kept.since)
    chosen = oldest.limit(limit).with_for_update(skip_locked=True)  # SQLite has one writer, and leaves the clause out
    return connection.execute(delete(kept.table).where(key.in_(chosen))).rowcount


def purged_through(connection: Connection) -> datetime | None:
    """Records of requests before this may be gone; None when none ever went."""
    through: datetime | None = connection.execute(select(jobs.c.through).where(jobs.c.name == PURGE)).scalar_one()
    return through


def claim(connection: Connection, now: datetime, for_s: float) -> bool:
    """Whether the purge is due and now ours. Should we die with it, it is due again after `for_s`."""
    due = (jobs.c.name == PURGE) & (jobs.c.due_at <= now)
    return connection.execute(update(jobs).where(due).values(due_at=now + timedelta(seconds=for_s))).rowcount == 1


def put_off(connection: Connection, until: datetime) -> None:
    """The purge is done, and due again then."""
    connection.execute(update(jobs).where(jobs.c.name == PURGE).values(due_at=until))


def _move_mark(connection: Connection, before: datetime) -> None:
    """Onwards only: what a shorter retention has taken does not come back with a longer one."""
    earlier = or_(jobs.c.through.is_(None), jobs.c.through < before)
    connection.execute(update(jobs).where(jobs.c.name == PURGE, earlier).values(through=before))
