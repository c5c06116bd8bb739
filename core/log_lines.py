"""Request records out of log lines: the second copy of every finished request.

Knows the shape of a request's log line (docs/operations.md), no file, no database. Invariant: a line is either a record, skipped
for a reason that is counted, or reported as bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.record import RequestRecord

BATCH = 500
MOST_PROBLEMS = 20
_MOST_SHOWN_CHARS = 100


@dataclass(slots=True, kw_only=True)
class LinesRead:
    """How many lines were what. `turned_away`: requests that were nobody's; `other`: no request's line."""

    turned_away: int = 0
    other: int = 0
    bad: int = 0
    problems: list[str] = field(default_factory=list)

    def report(self, where: str, reason: str) -> None:
        self.bad += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(f"{where[:_MOST_SHOWN_CHARS]}: {reason}"[:300])


class NoRecord(Exception):
    """A log line that is no ledger row. `turned_away`: it is a request's, but that was nobody's."""

    def __init__(self, turned_away: bool) -> None:
        super().__init__()
        self.turned_away = turned_away


def batches(lines: Iterable[bytes], read: LinesRead) -> Iterator[list[RequestRecord]]:
    """The records of all lines, so many at a time; what the others are is added to `read`."""
    batch: list[RequestRecord] = []
    for number, line in enumerate(lines, 1):
        try:
            batch.append(record_of(line))
        except NoRecord as none:
            read.turned_away += none.turned_away
            read.other += not none.turned_away
        except ValueError as error:
            read.report(f"line {number}", str(error))
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


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
