"""How slow the machine under the tests is just now, for what they assert about time.

A bound in processor time is set on one machine and asserted on others; a bound by the clock is a promise about a machine that
has something left for us. Both are kept as they are written, and the machine's own part is taken out: the first is multiplied
by `slowness()`, of the second is taken what `Moment` says that the machine was held up. Where it is as quick as the one that
bounds were set on, and idle, that changes neither, so a product that gets slower fails. Refuses to know what is measured.
Invariants: no bound is tighter than it is written, and none by the clock longer than two and a half times that.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# Seconds of processor time that `_work` takes where the bounds were set, with nothing else at work there.
_REFERENCE_S = 0.0030
_TRIES = 9
_LONGEST = 2.5
_PRESSURE, _STAT = Path("/proc/pressure/cpu"), Path("/proc/stat")
_STEAL, _TICKS_A_SECOND = 8, 100


def slowness() -> float:
    """How many times as long as there this thread works for the same; at least 1. Ask it beside what it is to judge: a
    processor that others share is slower than the same one alone."""
    return max(1.0, median(_timed() for _ in range(_TRIES)) / _REFERENCE_S)


@dataclass(frozen=True)
class Moment:
    """By the monotonic clock; and how long, so far, there was somebody on this machine who could have worked and had no
    processor."""

    clock: float
    held_up: float

    def since(self, began: Moment) -> float:
        """Seconds, without those in which the machine was held up."""
        return own(self.clock - began.clock, self.held_up - began.held_up)

    def stretched_since(self, began: Moment) -> float:
        """How many seconds of the clock one second took there; between 1 and two and a half."""
        return (self.clock - began.clock) / self.since(began)


def now() -> Moment:
    return Moment(time.monotonic(), _held_up_s())


def own(took_s: float, held_up_s: float) -> float:
    """Of what something took, its own part."""
    return max(took_s / _LONGEST, took_s - held_up_s)


def _timed() -> float:
    began = time.thread_time()
    _work()
    return time.thread_time() - began


def _work() -> int:
    """As most of the product's is: small objects, texts, dictionaries and JSON."""
    rows = [{"id": f"key_{n:05}", "name": f"machine {n}", "spent": n * 7, "seen": None if n % 3 else n} for n in range(1000)]
    found = {row["id"]: row for row in json.loads(json.dumps(rows))}
    by_name = sorted(found.values(), key=lambda row: str(row["name"]))
    return len("\n".join(f"{row['id']}: {row['name'].upper()} {row['spent']:,}" for row in by_name))


def _held_up_s() -> float:
    """By this machine's programs, and by those who share its hardware; nothing where the kernel does not tell."""
    waited = 0.0
    if _PRESSURE.exists():
        some = _PRESSURE.read_text().splitlines()[0]
        waited = int(some.rpartition("total=")[2]) / 1e6
    return waited + int(_STAT.read_text().split("\n", 1)[0].split()[_STEAL]) / _TICKS_A_SECOND
