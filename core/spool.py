"""The worker's append-only file of records that are not in the ledger yet: what survives a kill.

Knows lines of bytes and nothing of what they say. One file `<name>.spool` a worker, a line each: CRC-32 of the record in
hex, a space, the record. `<name>.offset` says how much of it is done with. Safe between greenlets (no method waits), not
between threads. Invariants: a record whose `append` returned is read again until it is cut, whoever reads it; only the holder
of the file's lock reads, cuts or removes it; an offset beyond the file's end means that nothing of it is done with. There is
no fsync: the promise is to outlive the process, not the machine (facts/reliability.md, section 6).
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from zlib import crc32

from core.locked_file import OPEN_FLAGS, FileTaken, open_locked

SUFFIX = ".spool"
_LOG = logging.getLogger(__name__)
_MOST_HELD_BYTES = 8 * 1024 * 1024
_WINDOW_BYTES = 512 * 1024
_COMPACT_BYTES = 4 * 1024 * 1024
_MARK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is not cut yet; `oldest_s` is the age of the oldest record, to about a second."""

    records: int
    bytes: int
    oldest_s: float


class Spool:
    """An open, locked spool. Positions are bytes since it was opened, never reused; only their order means anything.

    `clock` is unix seconds. What a full disk refuses is held in memory, `held` records of at most `most_held_bytes`, still
    read and cut like the others; past that `lost` counts. `torn` counts lines that were damaged and skipped. Where there is no
    room for the file itself, each record tries again to make it: a worker begins on a full disk, too.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        clock: Callable[[], float] = time.time,
        most_held_bytes: int = _MOST_HELD_BYTES,
        create: bool = True,
    ) -> None:
        """Makes the directory, too, private. Raises FileTaken, and OSError where the directory cannot be used."""
        self.path = directory / f"{name}{SUFFIX}"
        self.lost = self.torn = 0
        self._offset_path = directory / f"{name}.offset"
        self._clock = clock
        self._most_held_bytes = most_held_bytes
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._spoilt = False  # behind `_size` lies a piece of a line that must be taken back
        self._base = self._size = self._done = self._records = 0
        self._fd = open_locked(self.path, create)  # negative where there is no file
        try:
            self._take_stock()
        except OSError:
            os.close(self._fd)  # and let go of the lock: others may be luckier with what this disk holds
            raise
        self._last_batch = (self._done, 0, 0)  # the position behind it, its lines, how many of them were damaged
        # (position, unix seconds) about once a second: what lies behind a position was appended then or later.
        self._marks: deque[tuple[int, float]] = deque()
        if self._records:
            self._marks.append((self._done, os.fstat(self._fd).st_mtime))

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def backlog(self) -> Backlog:
        oldest = max(0.0, self._clock() - self._marks[0][1]) if self._marks else 0.0
        return Backlog(self._records, self._end - self._done, oldest)

    @property
    def _end(self) -> int:
        """Records held in memory lie behind the file's end, as if they were in it."""
        return self._base + self._size + self._held_bytes

    def ensure_file(self) -> bool:
        """Whether there is one, made now where there was no room before. What lies beside it will be found."""
        if self._fd < 0:
            with suppress(OSError, FileTaken):
                self._fd = open_locked(self.path, create=True)
        return self._fd >= 0

    def append(self, record: bytes) -> None:
        """Keep one record (without a newline in it). Never raises: a full disk is counted, not reported."""
        line = b"%08x %b\n" % (crc32(record), record)
        position = self._end
        if not self._write_held() or not self._write(line):
            if self._held_bytes + len(line) > self._most_held_bytes:
                self.lost += 1
                return
            self._held.append(line)
            self._held_bytes += len(line)
        self._records += 1
        now = self._clock()
        if not self._marks or abs(now - self._marks[-1][1]) >= _MARK_EVERY_S:  # clocks are put back, too
            self._marks.append((position, now))

    def read_batch(self, limit: int) -> tuple[list[bytes], int]:
        """The oldest records that are not cut, at most `limit`, and the position to cut at once they are safe elsewhere.

        Reading twice gives the same. A batch may be empty with a new position: then all of it was damaged; cut it, too.
        """
        lines: list[bytes] = []
        at = self._done - self._base
        while len(lines) < limit and at < self._size:
            more = self._read_lines(at)[: limit - len(lines)]
            if not more:
                break  # somebody shortened the file: what is gone is gone
            lines += more
            at += sum(map(len, more)) + len(more)
        position = self._base + at
        if at >= self._size:
            held = [line[:-1] for line in islice(self._held, limit - len(lines))]
            lines += held
            position += sum(map(len, held)) + len(held)
        records = [line[9:] for line in lines if line[:9] == b"%08x " % crc32(line[9:])]
        self._last_batch = (position, len(lines), len(lines) - len(records))
        return records, position

    def cut(self, position: int) -> None:
        """What `read_batch` gave with this position is safe elsewhere: it is never read again, not even after a kill."""
        last_read, lines, damaged = self._last_batch
        if position <= self._done or position != last_read:
            return
        self._done = position
        is_emptied = position >= self._base + self._size and (self._fd < 0 or self._empty_file())
        while self._base + self._size < position:
            self._base += self._drop_held()
        if not is_emptied:
            self._remember()
        self.torn += damaged
        self._records -= lines
        self._forget_marks()

    def close(self) -> None:
        """Let go of the file; it is removed if all of it is cut. What memory still holds is tried once more. Idempotent."""
        self._write_held()
        if self._fd < 0:
            return
        if self._done >= self._end:
            with suppress(OSError):
                self._offset_path.unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = -1

    def _write(self, line: bytes) -> bool:
        """One write. A full disk writes short without an error: that piece is taken back before anything else is written."""
        if not self.ensure_file():
            return False
        try:
            if self._spoilt:
                os.ftruncate(self._fd, self._size)
            self._spoilt = os.write(self._fd, line) != len(line)
        except OSError:
            return False
        if not self._spoilt:
            self._size += len(line)
        return not self._spoilt

    def _write_held(self) -> bool:
        """Whether memory holds nothing any more. Positions stay as they are: held lines lie where they are now written."""
        while self._held:
            if not self._write(self._held[0]):
                return False
            self._drop_held()
        return True

    def _drop_held(self) -> int:
        dropped = len(self._held.popleft())
        self._held_bytes -= dropped
        return dropped

    def _read_lines(self, at: int) -> list[bytes]:
        """Whole lines from there on, without their ends: as many as a window holds, at least one."""
        window_bytes = _WINDOW_BYTES
        while True:
            window = os.pread(self._fd, min(window_bytes, self._size - at), at)
            if b"\n" in window or len(window) < window_bytes:
                return window.split(b"\n")[:-1]
            window_bytes *= 2

    def _remember(self) -> None:
        """Part of the file is done with. Without this (a full disk) it would be read again, which the ledger bears."""
        done_bytes = self._done - self._base
        try:
            if done_bytes >= _COMPACT_BYTES and self._size - done_bytes <= done_bytes // 4:
                self._compact(done_bytes)
                return
            beside = self._offset_path.with_suffix(".offset-new")
            beside.write_bytes(b"%d" % done_bytes)
            beside.replace(self._offset_path)
        except OSError as error:
            _LOG.warning("the spool could not note its progress: %s", error)

    def _compact(self, done_bytes: int) -> None:
        """Under steady load the file is never quite done with: now and then its tail moves to a new one."""
        beside = self.path.with_suffix(".spool-new")
        fd = os.open(beside, OPEN_FLAGS | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            tail = os.pread(self._fd, self._size - done_bytes, done_bytes)
            if os.write(fd, tail) != len(tail) or len(tail) != self._size - done_bytes:
                raise OSError("the tail could not be written whole")
            beside.replace(self.path)
        except OSError:
            os.close(fd)
            beside.unlink(missing_ok=True)
            raise
        os.close(self._fd)
        self._fd, self._base, self._size = fd, self._done, len(tail)
        self._offset_path.unlink(missing_ok=True)  # until now it lay beyond the end, so a kill in between does no harm

    def _empty_file(self) -> bool:
        """A disk that has turned read-only must not keep what is behind from being read: then the file stays, as done with."""
        try:
            self._offset_path.unlink(missing_ok=True)  # first: an old one in a new file could pass for right
            os.ftruncate(self._fd, 0)
        except OSError as error:
            _LOG.warning("the spool could not be emptied: %s", error)
            return False
        self._base, self._size = self._base + self._size, 0
        return True

    def _forget_marks(self) -> None:
        """Keep the last mark at or before what is done: the oldest record left was appended then or later."""
        while self._marks and (self._records == 0 or (len(self._marks) > 1 and self._marks[1][0] <= self._done)):
            self._marks.popleft()

    def _take_stock(self) -> None:
        if self._fd >= 0:
            self._size = self._mended(os.fstat(self._fd).st_size)  # `_base`, the position of the file's first byte, is 0
            self._done = self._stored_offset()  # position up to which everything is cut
            windows = range(self._done, self._size, _WINDOW_BYTES)
            self._records = sum(os.pread(self._fd, _WINDOW_BYTES, at).count(b"\n") for at in windows)

    def _mended(self, size: int) -> int:
        """The writer may have died within a line, the last one: it was never acknowledged, so it goes."""
        end = newline = size
        while newline == end > 0:
            end = max(0, end - _WINDOW_BYTES)
            newline = end + os.pread(self._fd, newline - end, end).rfind(b"\n") + 1
        if newline < size:
            self.torn += 1
            os.ftruncate(self._fd, newline)
        return newline

    def _stored_offset(self) -> int:
        try:
            offset = int(self._offset_path.read_bytes())
        except (FileNotFoundError, ValueError):
            offset = 0
        if 0 < offset <= self._size and os.pread(self._fd, 1, offset - 1) == b"\n":
            return offset
        self._offset_path.unlink(missing_ok=True)
        return 0


def open_spool(directory: Path, name: str) -> Spool:
    """A spool for this process, whatever others there are: a taken name gets a number."""
    free_name, number = name, 1
    while True:
        try:
            return Spool(directory, free_name)
        except FileTaken:
            number += 1
            free_name = f"{name}-{number}"
