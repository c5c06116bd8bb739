"""One server for one SQLite file: the master holds a lock on a file beside it for as long as it lives.

Knows a path. Invariant: the lock is the kernel's (`flock`), so that it ends with the master however that ends, and no file left
behind keeps anybody out. Workers hold no part of it, and commands beside a running server do not ask for it.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from core.settings import BadSettings, Settings

_SUFFIX = ".server"


class ServerLock:
    """Held from its making on. Of a database that is no file it holds nothing."""

    def __init__(self, path: Path | None) -> None:
        """Raises BadSettings when another server holds it, or the file cannot be used."""
        self.path = path.absolute() if path is not None else None
        self._fd = -1 if self.path is None else _locked(self.path)

    def let_go(self) -> None:
        """Close our part of it: in a forked process, which leaves the lock to its parent; or all of it. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def check(self, settings: Settings) -> None:
        """Raises BadSettings for settings with another SQLite file than the one that is locked."""
        path = settings.sqlite_path
        if path is not None and path.absolute() != self.path:
            raise BadSettings(
                ["PROXY_DATA_DIR, PROXY_DATABASE_URL: the SQLite file cannot change while the server runs; restart it"]
            )


def lock_database(settings: Settings) -> ServerLock:
    """Raises BadSettings."""
    return ServerLock(settings.sqlite_path)


def _locked(database: Path) -> int:
    path = database.with_name(database.name + _SUFFIX)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadSettings([f"PROXY_DATA_DIR: {path} cannot be written ({error.strerror})"]) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 100, 0).decode(errors="replace").strip() or "nobody knows which"
        os.close(fd)
        raise BadSettings([_taken(database, holder)]) from None
    except OSError as error:
        os.close(fd)
        raise BadSettings([f"PROXY_DATA_DIR: {path} cannot be locked ({error.strerror})"]) from None
    _note_holder(fd)
    return fd


def _note_holder(fd: int) -> None:
    """For who is refused; a full disk hinders nobody."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except OSError:
        return


def _taken(database: Path, holder: str) -> str:
    return (
        f"Another server ({holder}) works with {database}, and SQLite is for one. End that one, or give this one a "
        "PROXY_DATA_DIR of its own; several servers of one database need PostgreSQL (PROXY_DATABASE_URL)."
    )
