"""What was kept long enough goes, a batch at a time. Hourly sums stay for good.

Knows tables and times, not who calls, nor when. Invariants: an hour's request records go all or not at all, and only after the
mark says so, so that whoever compares records with sums, or brings records back, leaves hours alone that were purged; several
may purge at a time (each takes rows that no other holds); a batch is one short transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_, select, update

from core.db import Database
from core.models import jobs, requests

PURGE = "purge"
BATCH = 1000
REST_S = 0.05  # between batches: a day's records go within minutes, and nobody waits for them


def purge(database: Database, days: int, now: datetime, rest: Callable[[float], None]) -> int:
    """Delete the request records of whole hours that are older than so many days; returns how many. Raises DatabaseAway."""
    before = (now - timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
    database.run(lambda connection: _move_mark(connection, before))
    purged = 0
    while True:
        batch = database.run(lambda connection: delete_batch(connection, before, BATCH))
        purged += batch
        if batch < BATCH:
            return purged
        rest(REST_S)


def delete_batch(connection: Connection, before: datetime, limit: int) -> int:
    """The oldest request records before that time, at most `limit`, without those that somebody else deletes just now."""
    oldest = select(requests.c.request_id).where(requests.c.started_at < before).order_by(requests.c.started_at)
    chosen = oldest.limit(limit).with_for_update(skip_locked=True)  # SQLite has one writer, and leaves the clause out
    return connection.execute(delete(requests).where(requests.c.request_id.in_(chosen))).rowcount


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
