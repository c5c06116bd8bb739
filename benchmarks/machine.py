"""The machine that a table was measured on. Reads /proc and /sys once; its lines go above the figures."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    python: str

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.cores} x {self.cpu}, {self.memory_gb:.0f} GB, Linux {self.kernel}, Python {self.python}"


def this_machine() -> Machine:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Machine(_cpu_model(), len(os.sched_getaffinity(0)), memory, platform.release(), platform.python_version())


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
