"""Processes of a benchmark: started on a core of their own, watched from outside, and always ended.

Reads /proc; knows nothing of what runs. Invariant: whatever is started here is in a process group of its own and is gone when
the `Stage` closes, also after an exception or Ctrl-C.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

_TERM_S = 5.0
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


class DidNotStart(Exception):
    """Something the benchmark needs is not there or does not come up; the text says what, with its own last words."""


class Stage:
    """Two cores (or one): what is measured runs on `measured`, everything else on `other`."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.measured, self.other = cores[0], cores[-1]
        self._before = set(cores)
        self._ending = ExitStack()

    def __enter__(self) -> Stage:
        os.sched_setaffinity(0, {self.other})
        self._ending.callback(os.sched_setaffinity, 0, self._before)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending.close()

    @property
    def has_two_cores(self) -> bool:
        return self.measured != self.other

    def start(
        self,
        arguments: Sequence[str],
        core: int,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """A process whose every thread and child stays on `core`: the affinity is inherited from this thread."""
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})
        try:
            process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, env=env, cwd=cwd, start_new_session=True
            )
        finally:
            os.sched_setaffinity(0, own)
        self._ending.callback(end, process)
        return process


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all of its group: politely, then not. Idempotent."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal_group(process, number)
        try:
            process.wait(_TERM_S)
        except subprocess.TimeoutExpired:
            continue
        break
    _signal_group(process, signal.SIGKILL)  # whoever of the group outlived its leader
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def read_line(process: subprocess.Popen[bytes], limit_s: float) -> bytes:
    """The next line of a process's (unbuffered) standard output. Raises DidNotStart when none comes in time."""
    assert process.stdout is not None
    line = b""
    must_end = time.monotonic() + limit_s
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, must_end - time.monotonic()))
        received = os.read(process.stdout.fileno(), 1 << 20) if ready else b""
        if not received:
            raise DidNotStart(f"{process.args!r} said nothing within {limit_s:.0f} s")
        line += received
    return line


def cpu_us(pid: int) -> float:
    """CPU time of a process so far, in microseconds (utime + stime, in steps of 10 ms)."""
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / _TICKS


def busy_us(core: int) -> float:
    """How long a core has worked for anybody so far, stolen time included, in microseconds."""
    for line in (_PROC / "stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            return (user + nice + system + irq + softirq + steal) * 1e6 / _TICKS
    return 0.0


def memory_mb(pid: int) -> tuple[float, float]:
    """(RSS, PSS) of a process in MB of 1,000,000 bytes; PSS counts a shared page by its share."""
    sizes = {}
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss"):
            sizes[name] = int(rest.split()[0]) * 1024 / 1e6
    return sizes["Rss"], sizes["Pss"]


def worker_of(pid: int) -> int:
    """The innermost descendant of a process: the worker behind a master, whatever stands between."""
    children = [int(text) for text in (_PROC / str(pid) / "task" / str(pid) / "children").read_text().split()]
    return worker_of(children[0]) if children else pid
