"""How long a worker's event loop stands still, measured inside the worker, whatever else the machine does.

A greenlet sleeps 2 ms at a time and notes by how much it woke late. Twice: without the time in which the thread was ready and
had no processor, as the kernel tells (`schedstat`); and how much of it was work of this thread. The first holds whatever makes
the loop stand still, a native thread that keeps the interpreter's lock among them, but where others load the machine also
such a thread that has the lock and no processor. The second is the work of the worker's greenlets, and nothing else.
`watched_gunicorn.py` starts it in the workers; tests read what was noted.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = "HUB_GAPS"  # the environment's name for where notes are written
_LOOK_S = 0.002
_NOTED_S = 0.001


@dataclass(frozen=True)
class Gap:
    """`at` is when it ended, on the machine's monotonic clock. `worked_ms`: of `ms`, this thread's own work."""

    at: float
    ms: float
    worked_ms: float


class Gaps:
    """What the workers of a product note into `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def between(self, began: float, ended: float) -> list[Gap]:
        """Those over a millisecond, of all workers."""
        lines = [line.split() for file in self._folder.iterdir() for line in file.read_text().splitlines()]
        gaps = [Gap(*map(float, line)) for line in lines if len(line) == 3]
        return [gap for gap in gaps if began <= gap.at <= ended]

    def longest_ms(self, began: float, ended: float) -> float:
        """Of the worker's own work."""
        return max((gap.worked_ms for gap in self.between(began, ended)), default=0.0)


def watch() -> None:
    """Without end, in a greenlet of the worker."""
    file = os.open(Path(os.environ[FOLDER]) / str(os.getpid()), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    schedstat = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
    while True:
        began, worked_s, kept_s = time.monotonic(), time.thread_time(), _kept_waiting_s(schedstat)
        time.sleep(_LOOK_S)
        woke, worked_s = time.monotonic(), time.thread_time() - worked_s
        gap_s = woke - began - _LOOK_S - (_kept_waiting_s(schedstat) - kept_s)
        if gap_s > _NOTED_S:
            os.write(file, f"{woke:.6f} {gap_s * 1000:.3f} {min(gap_s, worked_s) * 1000:.3f}\n".encode())


def _kept_waiting_s(schedstat: int) -> float:
    """How long this thread was ready to run and did not, so far."""
    return int(os.pread(schedstat, 100, 0).split()[1]) / 1e9
