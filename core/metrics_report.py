"""Tells what was counted: every second what is true now into the worker's cells, every 10 s all of it to CloudWatch.

Knows when and in which order; asks others for every value, and gives lines to whoever writes them (nobody, where Embedded
Metric Format is off). Invariants: no error ends it or reaches a request; the last telling is at the worker's end; however many
circuits are open, one telling has at most `MOST_KEYS` lines about them, so that they never crowd out the lines of requests.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from core.emf import lines
from core.hub_watch import HubWatch
from core.metric_counts import Counts, Key
from core.metric_file import Cells, read_folder
from core.metrics import ACCESS_KEY, CATALOGUE, Kind
from core.prometheus import exposition
from core.threads import Running, sleep, spawn

log = logging.getLogger(__name__)

LOOK_S = 1.0
LOOKS_A_TELLING = 10
REMIND_S = 60.0  # an open circuit is told when it opens, then so often
MOST_KEYS = 200


@dataclass(frozen=True, slots=True)
class Sources:
    """What is asked. `now`: gauges by name; `totals`: what only ever grows, since this process started; `open_circuits`: of each
    circuit that is not closed whose it is, `access_key_id` (the Plan's) or `bedrock_key_id`, and that id."""

    now: Callable[[], Mapping[str, float]]
    totals: Callable[[], Mapping[str, float]]
    open_circuits: Callable[[], Collection[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where lines go, and what stands in them. `write` takes one with its newline; None: nobody wants them."""

    write: Callable[[bytes], None] | None
    namespace: str
    worker_id: str


class MetricsReporter:
    """One a worker. `clocks` are monotonic and unix seconds."""

    def __init__(
        self,
        cells: Cells,
        counts: Counts,
        sources: Sources,
        outlet: Outlet,
        clocks: tuple[Callable[[], float], Callable[[], float]] = (time.monotonic, time.time),
        pause: Callable[[float], None] = sleep,
    ) -> None:
        self._cells = cells
        self._counts = counts
        self._sources = sources
        self._outlet = outlet
        self._clock, self._wall = clocks
        self._pause = pause
        self._hub = HubWatch(self._clock)
        self._totals: dict[str, float] = {}
        self._open_keys: set[str] = set()
        self._told_open: dict[str, float] = {}
        self._running: Running | None = None
        self._stopping = False

    def start(self) -> None:
        self._counts.add("WorkerStarts")
        self._hub.start()
        self._running = spawn(self.run)

    def run(self) -> None:
        looks = 0
        while not self._stopping:
            self._pause(LOOK_S)
            looks += 1
            self.look()
            if looks % LOOKS_A_TELLING == 0:
                self.tell()

    def look(self) -> None:
        """What is true now, into the cells; never raises."""
        try:
            for name, value in self._sources.now().items():
                self._counts.set(name, value)
            for name, total in self._sources.totals().items():
                self._counts.add(name, max(0.0, total - self._totals.get(name, 0.0)))
                self._totals[name] = total
            open_circuits = self._sources.open_circuits()
            self._open_keys = {holder for kind, holder in open_circuits if kind == ACCESS_KEY.name}
            self._counts.set("OpenCircuits", len(open_circuits))
            self._counts.set("CircuitBreakerState", float(bool(self._open_keys)))
            self._counts.set("HubLag", self._hub.worst_ms)
        except Exception:
            log.exception("what is true now could not be looked at")

    def tell(self) -> None:
        """All that was counted since the last time, to CloudWatch; never raises."""
        try:
            taken, worst_ms, now = self._counts.take(), self._hub.begin_anew(), self._wall()
            if self._outlet.write is None:
                return
            values = dict(self._gauges()) | dict(islice(self._circuits(), MOST_KEYS))
            values[_BY_NAME["HubLag"], ""] = worst_ms
            for line in lines(self._outlet.namespace, self._outlet.worker_id, now, taken, values):
                self._outlet.write(line + b"\n")
        except Exception:
            log.exception("metrics could not be told")

    def exposition(self, folder: Path) -> str:
        """What all workers of this machine have counted, as Prometheus reads it."""
        self.look()
        found = read_folder(folder)
        if self._cells.path is None:
            found.append(self._cells.read())
        return exposition(found, sorted(self._open_keys))

    def stop(self) -> None:
        """Stops, and tells what is left. Count no more after it."""
        self._stopping = True
        self._hub.stop()
        if self._running is not None:
            self._running.stop(0)
        self.look()
        self.tell()
        self._cells.close()

    def _gauges(self) -> Iterator[tuple[Key, float]]:
        for metric in CATALOGUE:
            if metric.kind in (Kind.SUM, Kind.WORST):
                yield (metric, ""), self._counts.get(metric.name)

    def _circuits(self) -> Iterator[tuple[Key, float]]:
        """Those that have closed once more; those that are open when they are new, and now and then."""
        metric, open_keys, now = _BY_NAME["CircuitBreakerState"], self._open_keys, self._clock()
        for key in [key for key in self._told_open if key not in open_keys]:
            yield (metric, key), 0.0
            del self._told_open[key]
        for key in sorted(open_keys, key=lambda key: self._told_open.get(key, float("-inf"))):
            if now - self._told_open.get(key, float("-inf")) < REMIND_S:
                return
            self._told_open[key] = now
            yield (metric, key), 1.0


_BY_NAME = MappingProxyType({metric.name: metric for metric in CATALOGUE})
