"""When an access key was last used, and from where: written in batches, seldom (SPEC section 8).

A function on a Connection, to be called inside `Database.run`. Invariants: a key's row is written at most once a minute, by
however many workers; whoever changes keys is never waited for nor held up for long, and nothing is announced: this changes no
grant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, select, update

from core.models import access_keys

SELDOM = timedelta(seconds=60)
_ADDRESS_CHARS = 64


@dataclass(frozen=True, slots=True)
class Sighting:
    access_key_id: str
    at: datetime
    address: str


def record_sightings(connection: Connection, sightings: Sequence[Sighting]) -> int:
    """One sighting a key. How many were news: those of keys seen less than a minute before are dropped, and those of keys that
    somebody is just changing, which will be seen again."""
    ids = [each.access_key_id for each in sightings]
    query = select(access_keys.c.id, access_keys.c.last_seen_at).where(access_keys.c.id.in_(ids)).order_by(access_keys.c.id)
    written = {row.id: row.last_seen_at for row in connection.execute(query.with_for_update(skip_locked=True))}
    news = [each for each in sightings if each.access_key_id in written and _is_news(each.at, written[each.access_key_id])]
    if news:
        row = update(access_keys).where(access_keys.c.id == bindparam("key_id"))
        change = row.values(last_seen_at=bindparam("at"), last_seen_address=bindparam("address"))
        connection.execute(change, [{"key_id": e.access_key_id, "at": e.at, "address": e.address[:_ADDRESS_CHARS]} for e in news])
    return len(news)


def _is_news(at: datetime, written: datetime | None) -> bool:
    return written is None or at - written >= SELDOM
