"""Whether the ledger agrees with the log: the same requests on both sides, with the same figures.

Read-only; knows records and the spools of this machine, no file of the log and no terminal. Which requests the log should have
is asked of the log itself: those that ended between its first line and its last, unless a span is given. Invariants: what is
on its way from a spool into the ledger is no difference; an answer whose worker was killed has a row and no line, hours whose
records were purged have lines and no rows, and both are only counted; memory is eight bytes a line and a page of rows.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Row, and_, or_, select

from core.db import Database
from core.ledger import AMOUNTS, Unwritable, row_of
from core.ledger_import import is_before
from core.log_lines import LinesRead, batches
from core.models import requests
from core.record import WORKER_LOST, RequestRecord
from core.retention import purged_through

MOST_SHOWN = 100
_PAGE = 1000
_DIGESTS = 250_000
_MOST_HELD = 10_000
_LONGEST = timedelta(days=1)  # a request never lasts longer

Waiting = Callable[[Collection[str]], set[str]]


@dataclass(frozen=True, slots=True)
class Span:
    """Of which requests: those that began from `since` to before `until` (None: as far as the log goes)."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


@dataclass(slots=True)
class Sum:
    """Requests that one side lacks, or that differ: how many, what they amount to, and the first of their ids."""

    requests: int = 0
    amounts: dict[str, int] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)

    def add(self, shown: str, amounts: Sequence[int]) -> None:
        self.requests += 1
        for name, amount in zip(AMOUNTS, amounts, strict=True):
            if amount:
                self.amounts[name] = self.amounts.get(name, 0) + amount
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(shown)


@dataclass(slots=True, kw_only=True)
class Compared(LinesRead):
    """`only_in_log` and `only_in_ledger` are what the other side lacks. `differing` amounts are the ledger's less the log's."""

    matched: int = 0
    only_in_log: Sum = field(default_factory=Sum)
    only_in_ledger: Sum = field(default_factory=Sum)
    differing: Sum = field(default_factory=Sum)
    waiting: int = 0
    worker_lost: int = 0
    purged: int = 0
    outside: int = 0

    @property
    def is_right(self) -> bool:
        return not (self.only_in_log.requests or self.only_in_ledger.requests or self.differing.requests or self.bad)


def compare_with_log(database: Database, lines: Iterable[bytes], span: Span, waiting: Waiting) -> Compared:
    """`waiting`: which of these ids are in a spool. Raises DatabaseAway."""
    return _Comparison(database, span).of(lines, waiting)


class _Comparison:
    def __init__(self, database: Database, span: Span) -> None:
        self._database = database
        self._span = span
        self._found = Compared()
        self._digests = _Digests()
        self._ended: tuple[float, float] | None = None  # the first and the last line, in unix seconds
        self._lacking: dict[str, RequestRecord] = {}

    def of(self, lines: Iterable[bytes], waiting: Waiting) -> Compared:
        mark = self._database.read(purged_through)
        for batch in batches(lines, self._found):
            self._heed(batch, mark.timestamp() if mark else 0.0)
        self._settle(waiting)
        for row in self._expected(mark):
            if row.request_id not in self._digests:
                self._missing_line(row)
        return self._found

    def _heed(self, batch: list[RequestRecord], oldest: float) -> None:
        told: dict[str, RequestRecord] = {}
        for record in batch:
            try:
                moment = _moment(row_of(record)["started_at"])
            except Unwritable as error:
                self._found.report(str(record.request_id), str(error))
                continue
            if not self._digests.add(record.request_id):
                continue
            self._stretch(record.started_at + record.total_ms / 1000)
            purged, within = is_before(record, oldest), self._span.holds(moment)
            self._found.purged += purged
            self._found.outside += not purged and not within
            if within and not purged:
                told[record.request_id] = record
        self._compare(told)

    def _compare(self, told: dict[str, RequestRecord]) -> None:
        rows = self._database.read(lambda connection: _rows(connection, told))
        for request_id, record in told.items():
            row = rows.get(request_id)
            if row is not None:
                self._match(record, row)
            elif len(self._lacking) < _MOST_HELD:
                self._lacking[request_id] = record
            else:
                self._missing_row(record)

    def _settle(self, waiting: Waiting) -> None:
        """What was in no ledger a while ago. Spools first: who leaves them is in the ledger by then."""
        in_spools = waiting(self._lacking.keys())
        late = self._database.read(lambda connection: _rows(connection, self._lacking))
        for request_id, record in self._lacking.items():
            row = late.get(request_id)
            if row is not None:
                self._match(record, row)
            elif request_id in in_spools:
                self._found.waiting += 1
            else:
                self._missing_row(record)

    def _match(self, record: RequestRecord, row: Row[Any]) -> None:
        expected, is_there = row_of(record), _plain(row)
        names = [name for name, value in expected.items() if is_there[name] != value]
        if names:
            off_by = [is_there[name] - expected[name] for name in AMOUNTS]
            self._found.differing.add(f"{record.request_id}: {', '.join(names)}", off_by)
        else:
            self._found.matched += 1

    def _missing_row(self, record: RequestRecord) -> None:
        self._found.only_in_log.add(record.request_id, [getattr(record, name) for name in AMOUNTS])

    def _missing_line(self, row: Row[Any]) -> None:
        if row.error_type == WORKER_LOST:
            self._found.worker_lost += 1
        else:
            self._found.only_in_ledger.add(row.request_id, [row._mapping[name] for name in AMOUNTS])

    def _stretch(self, ended: float) -> None:
        first, last = self._ended or (ended, ended)
        self._ended = min(first, ended), max(last, ended)

    def _expected(self, mark: datetime | None) -> Iterator[Row[Any]]:
        """Rows that the log should have, a page at a time; nothing is held open between."""
        if self._ended is None:
            return
        first, last = self._ended
        since = max(filter(None, (self._span.since or _utc(first) - _LONGEST, mark)))
        until = self._span.until or _utc(last) + timedelta(microseconds=1)
        place = since, ""
        while True:
            rows = self._database.read(partial(_page, until=until, after=place))
            for row in rows:
                ended = row.started_at.timestamp() + row.total_ms / 1000
                if (self._span.since or ended >= first) and (self._span.until or ended <= last):
                    yield row
            if len(rows) < _PAGE:
                return
            place = rows[-1].started_at, rows[-1].request_id


class _Digests:
    """Which ids were seen, eight bytes each. Two ids in a million million share one."""

    def __init__(self) -> None:
        self._sorted: list[array[int]] = []
        self._latest: set[int] = set()

    def add(self, request_id: str) -> bool:
        """Whether it is new."""
        if request_id in self:
            return False
        self._latest.add(_digest(request_id))
        if len(self._latest) >= _DIGESTS:
            self._sorted.append(array("Q", sorted(self._latest)))
            self._latest = set()
        return True

    def __contains__(self, request_id: str) -> bool:
        digest = _digest(request_id)
        return digest in self._latest or any(_is_in(digest, each) for each in self._sorted)


def _digest(request_id: str) -> int:
    return int.from_bytes(blake2b(request_id.encode("utf-8", "replace"), digest_size=8).digest())


def _is_in(digest: int, digests: array[int]) -> bool:
    place = bisect_left(digests, digest)
    return place < len(digests) and digests[place] == digest


def _rows(connection: Connection, wanted: Collection[str]) -> dict[str, Row[Any]]:
    ids = sorted(wanted)
    found: dict[str, Row[Any]] = {}
    for first in range(0, len(ids), _PAGE):
        some = select(requests).where(requests.c.request_id.in_(ids[first : first + _PAGE]))
        found |= {row.request_id: row for row in connection.execute(some)}
    return found


def _page(connection: Connection, until: datetime, after: tuple[datetime, str]) -> Sequence[Row[Any]]:
    """The next rows behind that place, in the order of their beginnings."""
    table, (moment, request_id) = requests.c, after
    behind = or_(table.started_at > moment, and_(table.started_at == moment, table.request_id > request_id))
    query = select(table.request_id, table.started_at, table.total_ms, table.error_type, *(table[name] for name in AMOUNTS))
    query = query.where(table.started_at >= moment, table.started_at < until, behind)
    return connection.execute(query.order_by(table.started_at, table.request_id).limit(_PAGE)).all()


def _plain(row: Row[Any]) -> dict[str, Any]:
    """As `row_of` has it."""
    started_at = row.started_at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return {**row._mapping, "started_at": started_at}


def _utc(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
