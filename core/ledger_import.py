"""Ledger rows out of log lines, for when a disk was lost with its spool.

Knows records, not the lines that they came from (core/log_lines.py). Invariants: importing twice, or what the ledger knows
already, changes nothing; an hour whose records were purged is left alone, since its sums hold those requests still; budgets
are charged as they were the first time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from core.db import Database
from core.ledger import write_all
from core.log_lines import LinesRead, batches
from core.record import RequestRecord
from core.retention import purged_through


@dataclass(slots=True, kw_only=True)
class Imported(LinesRead):
    """`purged`: of hours whose records went; `known`: in the ledger already."""

    written: int = 0
    known: int = 0
    purged: int = 0


def import_lines(database: Database, lines: Iterable[bytes], zone: ZoneInfo) -> Imported:
    """All lines, a batch at a time. `zone` is where the months of budgets begin.

    Raises DatabaseAway: then start over, which costs nothing twice.
    """
    found = Imported()
    mark = database.read(purged_through)
    oldest = mark.timestamp() if mark else 0.0
    for batch in batches(lines, found):
        late = [record for record in batch if not is_before(record, oldest)]
        found.purged += len(batch) - len(late)
        dead: list[tuple[RequestRecord, str]] = []
        written = write_all(database, late, dead, zone)
        found.written += written
        found.known += len(late) - written - len(dead)
        for record, reason in dead:
            found.report(str(record.request_id), reason)
    return found


def is_before(record: RequestRecord, oldest: float) -> bool:
    """Something that is no time is for the ledger to refuse."""
    return isinstance(record.started_at, int | float) and record.started_at < oldest
