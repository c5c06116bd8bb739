"""A small disk of a test's own, really full when it is full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def remount(folder: Path, how: str) -> None:
    """`ro`: as a kernel does whose disk has errors. `rw`: as somebody does who has mended it."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def take_no_more_files(folder: Path) -> None:
    """What is open can be written to, and nothing new can be made."""
    found = os.statvfs(folder)
    remount(folder, f"nr_inodes={found.f_files - found.f_ffree}")


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A tmpfs at `folder`. Skips the test, by name, where mounting is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={kilobytes}k,mode=0700"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
