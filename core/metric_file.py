"""Numbers that outlive their process: a file of 8-byte floats, mapped into memory, one for each worker of a machine.

Knows names and numbers, not what they mean. `00.metrics`, `01.metrics` ... lie in one folder: a line of JSON with the names,
then the numbers. A worker takes the first file that nobody holds and goes on counting where its last holder stopped, so
there are never more files than there were workers at a time, and no number falls because a worker ended or was killed.
Invariant: only the holder of a file's lock writes it. Where there is no room for a file the numbers live in memory alone.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

_LOG = logging.getLogger(__name__)
_SUFFIX = ".metrics"
_MOST_FILES = 256
_WIDTH = 8
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a file says. `lives`: a worker holds it, so what it says of now is true."""

    values: Mapping[str, float]
    lives: bool


class Cells:
    """`values[n]` is the number of `names[n]`: read it, add to it. Safe between greenlets, since no access waits."""

    def __init__(self, names: Sequence[str], mapped: mmap.mmap, begin: int, held: tuple[Path, int] | None) -> None:
        self.names = tuple(names)
        self.values = memoryview(mapped)[begin:].cast("d")
        self.path = held[0] if held else None  # None where there was no room for a file
        self._fd = held[1] if held else -1

    def read(self) -> Numbers:
        return Numbers(dict(zip(self.names, self.values, strict=False)), lives=True)

    def close(self) -> None:
        """Another worker may go on with them. Idempotent; count no more after it."""
        if self._fd >= 0:
            with suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)
                os.close(self._fd)
            self._fd = -1


def open_cells(folder: Path, names: Sequence[str]) -> Cells:
    """The first file that is free, with what it held of these names. Never raises for a disk that is full or read-only."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(_MOST_FILES):
            path = folder / f"{number:02}{_SUFFIX}"
            fd = _locked(path)
            if fd is not None:
                return _open(path, fd, names)
    except OSError as error:
        _LOG.warning("metrics are kept in memory alone: %s", error)
    return Cells(names, mmap.mmap(-1, len(names) * _WIDTH), 0, None)


def read_folder(folder: Path) -> list[Numbers]:
    """What all workers of this machine have counted, the dead ones included."""
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                found.append(Numbers(_numbers_in(_content(fd)), not _is_free(fd)))
            finally:
                os.close(fd)
    return found


def _open(path: Path, fd: int, names: Sequence[str]) -> Cells:
    """Goes on with the file; one of another release is written anew, with what it held of our names."""
    try:
        head = _head(names)
        content = _content(fd)
        if not content.startswith(head) or len(content) != len(head) + len(names) * _WIDTH:
            fd = _rewritten(path, fd, head, [_numbers_in(content).get(name, 0.0) for name in names])
        return Cells(names, mmap.mmap(fd, len(head) + len(names) * _WIDTH), len(head), (path, fd))
    except BaseException:
        os.close(fd)
        raise


def _head(names: Sequence[str]) -> bytes:
    """Padded, so that the numbers behind it are aligned and the processor writes each of them whole."""
    text = orjson.dumps(list(names))
    return text + b" " * (-(len(text) + 1) % _WIDTH) + b"\n"


def _rewritten(path: Path, fd: int, head: bytes, values: Sequence[float]) -> int:
    """The descriptor of the new file, locked before anybody can see it. Its blocks are there: a write into a mapping that
    finds the disk full would end the process."""
    new = path.with_suffix(".new")
    new_fd = os.open(new, _FLAGS | os.O_TRUNC, 0o600)
    try:
        fcntl.flock(new_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.posix_fallocate(new_fd, 0, len(head) + len(values) * _WIDTH)
        with mmap.mmap(new_fd, len(head) + len(values) * _WIDTH) as mapped:
            mapped[: len(head)] = head
            with memoryview(mapped) as view, view[len(head) :] as behind, behind.cast("d") as cells:
                for place, value in enumerate(values):
                    cells[place] = value
        new.rename(path)
    except BaseException:
        os.close(new_fd)
        raise
    os.close(fd)
    return new_fd


def _locked(path: Path) -> int | None:
    """A descriptor of the file, locked; None when somebody holds it, or has just put another in its place."""
    fd = os.open(path, _FLAGS, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino == path.stat().st_ino:
            return fd
    except OSError as error:
        if not isinstance(error, BlockingIOError | FileNotFoundError):
            os.close(fd)
            raise
    os.close(fd)
    return None


def _is_free(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _content(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _numbers_in(content: bytes) -> dict[str, float]:
    """Empty for a file that is none of ours, or not whole."""
    head, newline, rest = content.partition(b"\n")
    try:
        names = orjson.loads(head) if newline else []
    except ValueError:
        return {}
    if not isinstance(names, list) or len(rest) != len(names) * _WIDTH:
        return {}
    return dict(zip(map(str, names), memoryview(rest).cast("d"), strict=True))
