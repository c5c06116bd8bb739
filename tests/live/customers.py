"""Steady traffic, and whether the books are right about it: shared by the live tests about processes and databases."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from core.models import requests, usage_hourly
from tests import machine
from tests.live.leaver import Line, eventually, rows_of

_PAUSE_S = 0.02  # before somebody who was refused tries again: eight without one take the processor from what is starting


@dataclass
class Customers:
    """Clients that ask one request after the other, over connections they keep, until told to stop. Where nobody tells them,
    because the test has failed, they leave of themselves after `patience_s`, so that it can end.

    `finished`: ids of the answers that came whole; `troubles`: everything that went wrong; `slowest_s`: the longest wait
    for a whole answer, without what the machine held it up.
    """

    pool: ThreadPoolExecutor
    developer: Any
    patience_s: float = 300.0
    finished: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _working: list[Future[None]] = field(default_factory=list)

    def come(self, count: int) -> None:
        self._working = [self.pool.submit(self._ask, stream=bool(number % 2)) for number in range(count)]

    def leave(self) -> None:
        self._stop.set()
        for each in self._working:
            each.result()

    def served_more(self, count: int) -> None:
        """Wait until so many more answers have come."""
        wanted = len(self.finished) + count
        eventually(lambda: len(self.finished) >= wanted, 120)

    def _ask(self, *, stream: bool) -> None:
        line: Line | None = None
        ends = time.monotonic() + self.patience_s
        while not self._stop.is_set() and time.monotonic() < ends:
            try:
                line = line or Line(self.developer.base_url)
                self._exchange(line, stream)
                if line.headers.get("connection") == "close":
                    line.leave("fin")
                    line = None
            except OSError as error:
                self.troubles.append(repr(error))
                line = None
                self._stop.wait(_PAUSE_S)
        if line is not None:
            line.leave("fin")

    def _exchange(self, line: Line, stream: bool) -> None:
        began = machine.now()
        line.ask(stream=stream).answer()
        self.slowest_s = max(self.slowest_s, machine.now().since(began))
        if line.status == 200:
            self.finished.append(line.headers["x-proxy-request-id"])
        else:  # a worker born while the database is away knows no key: 503, and nothing to record
            self.troubles.append(f"status {line.status}")


def assert_every_answer_has_one_row(stack: Any, customers: Customers) -> None:
    """What was finished is there, and the sums count each row once."""
    key_id, finished = customers.developer.access_key_id, set(customers.finished)
    assert len(finished) == len(customers.finished)
    eventually(lambda: finished <= {row.request_id for row in rows_of(stack, key_id)})
    rows = select(func.count()).select_from(requests).where(requests.c.access_key_id == key_id).scalar_subquery()
    summed = select(func.sum(usage_hourly.c.requests)).where(usage_hourly.c.access_key_id == key_id).scalar_subquery()
    counted, sums = stack.database.read(lambda connection: connection.execute(select(rows, summed)).one())
    assert counted == sums
