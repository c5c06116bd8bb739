"""Ledger rows out of log lines: the second copy of every finished request, for when a disk was lost with its spool.

Knows the shape of a request's log line (docs/operations.md), no file and no terminal. Invariants: importing twice, or what the
ledger knows already, changes nothing; an hour whose records were purged is left alone, since its sums hold those requests
still; a line is either imported, known, skipped for a reason that is counted, or reported as bad.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.db import Database
from core.ledger import write_all
from core.record import RequestRecord
from core.retention import purged_through

BATCH = 500
MOST_PROBLEMS = 20
_MOST_SHOWN_CHARS = 100


@dataclass(slots=True)
class Imported:
    """How many lines were what. `turned_away`: requests that were nobody's; `other`: no request's line."""

    written: int = 0
    known: int = 0
    purged: int = 0
    turned_away: int = 0
    other: int = 0
    bad: int = 0
    problems: list[str] = field(default_factory=list)

    def report(self, where: str, reason: str) -> None:
        self.bad += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(f"{where}: {reason}"[:300])


class NoRecord(Exception):
    """A log line that is no ledger row. `turned_away`: it is a request's, but that was nobody's."""

    def __init__(self, turned_away: bool) -> None:
        super().__init__()
        self.turned_away = turned_away


def import_lines(database: Database, lines: Iterable[bytes]) -> Imported:
    """All lines, a batch at a time. Raises DatabaseAway: then start over, which costs nothing twice."""
    found = Imported()
    mark = database.read(purged_through)
    oldest = mark.timestamp() if mark else 0.0
    batch: list[RequestRecord] = []
    for number, line in enumerate(lines, 1):
        try:
            record = record_of(line)
        except NoRecord as none:
            found.turned_away += none.turned_away
            found.other += not none.turned_away
        except ValueError as error:
            found.report(f"line {number}", str(error))
        else:
            batch.append(record)
        if len(batch) >= BATCH:
            _write(database, batch, oldest, found)
            batch = []
    _write(database, batch, oldest, found)
    return found


def record_of(line: bytes) -> RequestRecord:
    """The record that a log line tells. What a log service put before the JSON is ignored.

    Raises NoRecord, and ValueError for a request's line that does not tell all of it.
    """
    start = line.find(b"{")
    entry = _object(line[start:]) if start >= 0 else None
    if entry is None:
        if b'"log":"access"' in line:
            raise ValueError(f"cut off: {line[:_MOST_SHOWN_CHARS].decode('utf-8', 'replace')}")
        raise NoRecord(turned_away=False)
    context = entry.get("context")
    if not isinstance(context, dict) or context.get("log") != "access":
        raise NoRecord(turned_away=False)
    if context.get("cut"):
        raise ValueError("the line was too long and has been cut")
    if not context.get("access_key_id"):
        raise NoRecord(turned_away=True)
    trace = context.get("trace")
    if not isinstance(trace, list):
        raise ValueError("no trace")
    told = {**context, "request_id": entry.get("request_id", ""), "trace": "; ".join(map(str, trace))}
    return RequestRecord.from_json(orjson.dumps(told))


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _write(database: Database, batch: list[RequestRecord], oldest: float, found: Imported) -> None:
    dead: list[tuple[RequestRecord, str]] = []
    late = [record for record in batch if not _is_before(record, oldest)]
    written = write_all(database, late, dead)
    found.written += written
    found.purged += len(batch) - len(late)
    found.known += len(late) - written - len(dead)
    for record, reason in dead:
        found.report(str(record.request_id)[:_MOST_SHOWN_CHARS], reason)


def _is_before(record: RequestRecord, oldest: float) -> bool:
    """Something that is no time is for the ledger to refuse."""
    return isinstance(record.started_at, int | float) and record.started_at < oldest
