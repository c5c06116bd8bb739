"""A process as the server's workers are: patched by gevent before anything else is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def in_patched_process(program: str, *arguments: str) -> str:
    """What the program prints; it must print no warning and no traceback."""
    head = "from gevent import monkey; monkey.patch_all()\nimport sys, time, gevent\n"
    command = [sys.executable, "-c", head + program, *arguments]
    finished = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=280)
    assert finished.stderr == ""
    return finished.stdout.strip()
