"""From the spool into the ledger: in batches, in the background, until the ledger has taken them.

Knows the worker's own spool, with what is under way beside it, and the spools of workers that died; refuses to know requests.
Invariants: a record leaves a spool only after the ledger has committed it, or after it was set aside as one that no database
takes; a database that is away delays and loses nothing; what a full disk loses is counted and told; no error ends the flusher.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import orjson

from core.db import Database, DatabaseAway
from core.ledger import known_among, write_all
from core.record import WORKER_LOST, RequestRecord
from core.spool import Spool
from core.threads import Running, sleep, spawn
from core.under_way import UnderWay, adopt_orphans

BATCH = 250  # rows of one transaction: about 5 ms of work in which no stream moves
WAKE_AT = 200  # records that are flushed without waiting for the interval
DEAD_LETTERS = "dead-letters.jsonl"
_REQUEST_ID = re.compile(rb'"request_id" ?: ?"(req_[0-9A-Za-z_]{1,40})"')  # also in a line that is cut off

_UTC = ZoneInfo("UTC")
_LOG = logging.getLogger(__name__)
_CLOSE_S = 5.0
_ADOPT_EVERY_S = 10.0
_MOST_BACKOFF_S = 5.0  # a database that is back is noticed within this
_MOST_DOUBLINGS = 10
_MOST_DEAD_LETTER_BYTES = 16 * 1024 * 1024


class Listener(Protocol):
    """Somebody who keeps sums (metrics, budgets). Called in the request's or the flusher's greenlet; must not block."""

    def finished(self, record: RequestRecord) -> None: ...

    def flushed(self, records: Sequence[RequestRecord]) -> None:
        """These, finished in this worker, are dealt with. A record may come twice after a failure in between."""

    def recovered(self, records: Sequence[RequestRecord]) -> None:
        """These are dealt with; nobody has heard of them, since the worker that was answering them was killed."""


@dataclass(frozen=True, slots=True)
class Books:
    """What is not in the ledger yet, over all spools of this worker, and what went wrong since it started."""

    records: int
    bytes: int
    oldest_s: float
    held: int
    lost: int
    torn: int
    dead: int


class Flusher:
    """One a worker. `interval_s` is how long a record waits at most while all is well; `clock` is monotonic seconds; `zone` is
    where the months of budgets begin."""

    def __init__(
        self, spool: Spool, database: Database, interval_s: float, clock: Callable[[], float], zone: ZoneInfo = _UTC
    ) -> None:
        self.listeners: list[Listener] = []
        self.under_way = UnderWay(spool)
        self._spool = spool
        self._database = database
        self._interval_s = interval_s
        self._clock = clock
        self._zone = zone
        self._adopted: list[Spool] = []
        self._adopt_at = float("-inf")
        self._wake = threading.Event()  # gevent's own in the server
        self._running: Running | None = None
        self._closing = self._flushing = False
        self._unflushed = self._failures = self._dead = self._torn = self._lost = 0
        self._told_lost, self._told_full = 0, False

    @property
    def books(self) -> Books:
        spools = (self._spool, *self._adopted)
        backlogs = [spool.backlog for spool in spools]
        return Books(
            records=sum(backlog.records for backlog in backlogs),
            bytes=sum(backlog.bytes for backlog in backlogs),
            oldest_s=max(backlog.oldest_s for backlog in backlogs),
            held=sum(spool.held for spool in spools),
            lost=sum(spool.lost for spool in spools) + self._lost,
            torn=sum(spool.torn for spool in spools) + self._torn,
            dead=self._dead,
        )

    def start(self) -> None:
        """Spools of workers that died are taken over at once."""
        self._running = spawn(self.run)

    def notice(self) -> None:
        """One more record is in the spool."""
        self._unflushed += 1
        if self._unflushed >= WAKE_AT and not self._failures:
            self._wake.set()

    def close(self) -> None:
        """The last flush, within 5 s; what the database does not take by then waits in the spool for another worker."""
        self._closing = True
        self._wake.set()
        if self._running is not None:
            self._running.stop(_CLOSE_S)
        else:
            self._flush_all()
        left = self.books
        if left.records or left.lost:
            _LOG.warning("records stay in the spool", extra={"context": {"records": left.records, "lost": left.lost}})
        self.under_way.close()
        for spool in (self._spool, *self._adopted):
            spool.close()

    def run(self) -> None:
        """The greenlet: until `close`, and then once more."""
        self._take_over()
        while not self._closing:
            self._flush_all()
            self._wake.wait(min(_MOST_BACKOFF_S, self._interval_s * 2**self._failures))
            self._wake.clear()
            self._take_over()
        self._flush_all()

    def flush(self) -> int:
        """One round: the oldest batch of each spool. Returns the rows that were new. Never raises.

        A failure (the database away, above all) leaves the records where they are and makes the flusher wait longer.
        """
        if self._flushing:
            return 0
        self._flushing = True
        self._unflushed = 0
        written = 0
        try:
            for spool in (self._spool, *self._adopted):
                written += self._flush_one(spool)
            self._failures = 0
        except Exception as error:
            self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
            if not isinstance(error, DatabaseAway):
                _LOG.exception("records could not be written to the ledger")
            elif self._failures == 1:
                _LOG.warning("the ledger has to wait: %s", error)
        finally:
            self._flushing = False
        if not self._spool.held:
            self.under_way.tidy()
        self._raise_alarm()
        return written

    def _flush_all(self) -> None:
        """Rounds until less than a batch is left, or nothing moves; when closing, until nothing is left."""
        enough = 0 if self._closing else WAKE_AT - 1
        while True:
            before = self.books.records
            self.flush()
            left = self.books.records
            if self._failures or left <= enough or left >= before:
                return

    def _flush_one(self, spool: Spool) -> int:
        lines, position = spool.read_batch(BATCH)
        unreadable: list[tuple[bytes, str]] = []
        unwritable: list[tuple[RequestRecord, str]] = []
        records = _parsed(lines, unreadable)
        if records:
            sleep(0)  # parsing and writing are two stalls of the hub, not one
        lost = () if spool is self._spool else self._unheard(records)
        written = write_all(self._database, records, unwritable, self._zone)
        # Only now: while the database is away a batch is tried again and again.
        for line, reason in (*unreadable, *((record.to_json(), reason) for record, reason in unwritable)):
            self._set_aside(line, reason)
        spool.cut(position)
        for listener in self.listeners if records else ():
            if spool is self._spool:
                listener.flushed(records)
            elif lost:
                listener.recovered(lost)
        return written

    def _unheard(self, records: Sequence[RequestRecord]) -> Sequence[RequestRecord]:
        """Of a dead worker's: answers that never finished. What finished was heard of there; it stands before them, or the ledger
        has it already, though a slot still says otherwise."""
        finished = {record.request_id for record in records if record.error_type != WORKER_LOST}
        lost = {record.request_id: record for record in records if record.request_id not in finished}
        known = self._database.run(lambda connection: known_among(connection, [*lost])) if lost else set()
        return [record for request_id, record in lost.items() if request_id not in known]

    def _raise_alarm(self) -> None:
        """A full disk is told once, and that it is over; a loss with every new figure."""
        books = self.books
        figures = {"context": {"held": books.held, "lost": books.lost}}
        if books.lost > self._told_lost:
            _LOG.error("records were lost: neither disk nor memory has room for them", extra=figures)
        if books.held and not self._told_full:
            _LOG.error("the spool's disk is full: records wait in memory", extra=figures)
        elif self._told_full and not books.held:
            _LOG.warning("the spool's disk has room again", extra=figures)
        self._told_lost, self._told_full = books.lost, books.held > 0

    def _set_aside(self, line: bytes, reason: str) -> None:
        """Into a file for people to look at, bounded. What it cannot take is in the request's log line still."""
        self._dead += 1
        found = _REQUEST_ID.search(line)
        named = {"request_id": found[1].decode()} if found else {}
        _LOG.error("a record was set aside: %s", reason, extra={"context": {**named, "file": DEAD_LETTERS}})
        letter = orjson.dumps({"reason": reason, "record": line.decode("utf-8", "replace")}) + b"\n"
        try:
            _append(self._spool.path.with_name(DEAD_LETTERS), letter)
        except OSError as error:
            _LOG.error("no room for dead letters: %s", error)

    def _take_over(self) -> None:
        """Take over what dead workers left, and let go of what is done with."""
        drained = [spool for spool in self._adopted if not spool.backlog.records]
        self._adopted = [spool for spool in self._adopted if spool.backlog.records]
        for spool in drained:
            self._torn += spool.torn
            self._lost += spool.lost
            spool.close()
        if self._clock() < self._adopt_at:
            return
        self._adopt_at = self._clock() + _ADOPT_EVERY_S
        for spool in adopt_orphans(self._spool.path.parent):
            self._adopted.append(spool)
            _LOG.info("took over a spool", extra={"context": {"spool": spool.path.stem, "records": spool.backlog.records}})


def _parsed(lines: Sequence[bytes], dead: list[tuple[bytes, str]]) -> list[RequestRecord]:
    records = []
    for line in lines:
        try:
            records.append(RequestRecord.from_json(line))
        except ValueError as error:
            dead.append((line, f"unreadable: {error}"))
    return records


def _append(path: Path, letter: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(fd).st_size + len(letter) <= _MOST_DEAD_LETTER_BYTES:
            os.write(fd, letter)
    finally:
        os.close(fd)
