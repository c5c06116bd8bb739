"""What a worker is in the middle of: the records that its unfinished answers get if it is killed, and who writes them then.

Beside `<name>.spool` lies `<name>.open`, a slot of fixed size for each answer under way: CRC-32 in hex, a space, the record, a
newline. Knows bytes and nothing of what they say; who dies leaves them, and whoever adopts the spool appends them to it, behind
the finished records, so that the ledger takes the first it hears of a request. Invariants: a record whose `begin` returned
before a kill is in the ledger after it, its own or the finished one; an answer's end costs no write; the file is as large as
the most answers at a time. Never raises: an answer that found no room is only not protected.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from heapq import heapify, heappop, heappush
from pathlib import Path
from zlib import crc32

from core.locked_file import FileTaken
from core.spool import SUFFIX, Spool

SLOT_BYTES = 4096  # one page, which a kill cannot split
_SUFFIX = ".open"
_LOG = logging.getLogger(__name__)
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class UnderWay:
    """Of the holder of this spool. Safe between greenlets: no method waits."""

    def __init__(self, spool: Spool) -> None:
        _take_in(spool)
        self._spool = spool
        self._path = _beside(spool.path)
        self._fd = -1
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._used = 0  # slots from here on hold nothing

    def __len__(self) -> int:
        return len(self._slots)

    def begin(self, request_id: str, record: bytes) -> bool:
        """From now on a kill leaves this record. False when there was no room for it."""
        line = b"%08x %b\n" % (crc32(record), record)
        if len(line) > SLOT_BYTES:
            return False
        slot = self._slots.get(request_id)
        if slot is None:
            slot = heappop(self._free) if self._free else self._used
        self._used = max(self._used, slot + 1)
        if self._write(line, slot):
            self._slots[request_id] = slot
            return True
        self._slots.pop(request_id, None)
        heappush(self._free, slot)
        return False

    def end(self, request_id: str) -> None:
        """The finished record is in the spool; the ledger prefers it to what the slot still says."""
        slot = self._slots.pop(request_id, None)
        if slot is not None:
            heappush(self._free, slot)

    def tidy(self) -> None:
        """Give back the slots behind the last one in use, and what they say."""
        top = 1 + max(self._slots.values(), default=-1)
        if top < self._used and self._fd >= 0:
            with suppress(OSError):
                os.ftruncate(self._fd, top * SLOT_BYTES)
                self._used = top
                self._free = [slot for slot in self._free if slot < top]
                heapify(self._free)

    def close(self) -> None:
        """What is still under way has no other end than this: its records go to the spool. Before the spool is closed."""
        if self._fd < 0:
            return
        for slot in sorted(self._slots.values()):
            record = _record_in(os.pread(self._fd, SLOT_BYTES, slot * SLOT_BYTES))
            if record:
                self._spool.append(record)
        self._slots.clear()
        if not self._spool.held:
            self._path.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = -1

    def _write(self, line: bytes, slot: int) -> bool:
        if not self._spool.ensure_file():  # by which a slot is found
            return False
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, _FLAGS, 0o600)
            return os.pwrite(self._fd, line, slot * SLOT_BYTES) == len(line)
        except OSError:
            return False


def adopt_orphans(directory: Path) -> list[Spool]:
    """Spools whose holder has died, now ours, those that hold something. Never a living one; several may try at once.

    What their holders were in the middle of is in them, too.
    """
    adopted = []
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            spool = Spool(directory, path.stem, create=False)
        except (FileTaken, OSError) as error:
            if not isinstance(error, FileTaken | FileNotFoundError):
                _LOG.warning("a spool cannot be adopted: %s", error)
            continue
        _take_in(spool)
        if spool.backlog.records:
            adopted.append(spool)
        else:
            spool.close()
    return adopted


def _take_in(spool: Spool) -> None:
    """What the spool's last holder left under way. Twice, after a kill in between, is as good as once."""
    path = _beside(spool.path)
    try:
        for record in _records_in(path):
            spool.append(record)
        if not spool.held and path.exists():
            path.unlink()
    except OSError as error:
        _LOG.warning("what a worker was in the middle of cannot be read: %s", error)


def _records_in(path: Path) -> Iterator[bytes]:
    with suppress(FileNotFoundError), path.open("rb") as file:
        while slot := file.read(SLOT_BYTES):
            if record := _record_in(slot):
                yield record


def _record_in(slot: bytes) -> bytes:
    """Empty where there is none, or a damaged one. A shorter record than the last leaves its remains behind the newline."""
    line, newline, _ = slot.partition(b"\n")
    return line[9:] if newline and line[:9] == b"%08x " % crc32(line[9:]) else b""


def _beside(spool_path: Path) -> Path:
    return spool_path.with_suffix(_SUFFIX)
