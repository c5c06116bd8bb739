"""Spools that are filled, drained, killed and full: what the tests of the spool begin with."""

from __future__ import annotations

import os
from pathlib import Path

from core.spool import Spool, open_spool


def drain(spool: Spool) -> list[bytes]:
    found: list[bytes] = []
    while spool.backlog.records:
        records, position = spool.read_batch(3)
        spool.cut(position)
        found += records
    return found


def die(spool: Spool) -> None:
    """What a kill leaves: the file as it is, the lock free."""
    os.close(spool._fd)


def filled(directory: Path, *records: bytes) -> Spool:
    spool = open_spool(directory, "worker")
    for record in records:
        spool.append(record)
    return spool
