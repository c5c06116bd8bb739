"""Our side of the load generator and of the bench upstream: start them, hand jobs over, take tallies back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.jobs import Job, Tally
from benchmarks.processes import Stage, read_line

_ROOT = Path(__file__).resolve().parent.parent
_START_S = 20.0
_GRACE_S = 30.0


class Generator:
    """One at a time: `start`, then `result`."""

    def __init__(self, stage: Stage) -> None:
        self._process = stage.start([sys.executable, "-m", "benchmarks.load"], stage.other, cwd=_ROOT)
        self._limit_s = 0.0

    def start(self, job: Job) -> None:
        assert self._process.stdin is not None
        self._limit_s = job.limit_s + _GRACE_S
        self._process.stdin.write(job.to_json() + b"\n")
        self._process.stdin.flush()

    def result(self) -> Tally:
        """Blocks until the job has ended, at most its limit and a little."""
        return Tally.from_json(read_line(self._process, self._limit_s))

    def run(self, job: Job) -> Tally:
        self.start(job)
        return self.result()


def start_upstream(stage: Stage) -> tuple[subprocess.Popen[bytes], int]:
    """The bench upstream and its port."""
    process = stage.start([sys.executable, "-m", "benchmarks.upstream"], stage.other, cwd=_ROOT)
    return process, int(read_line(process, _START_S))
