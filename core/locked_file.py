"""A file that one process at a time holds: opened and locked in one step, by the kernel's lock, which ends with its holder.

Knows a path and nothing of what is in the file. Invariant: what was opened is what lies at the path, not a file that its last
holder has removed or replaced meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

OPEN_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class FileTaken(Exception):
    """Another process holds it, or has just removed it."""


def open_locked(path: Path, create: bool) -> int:
    """The file's descriptor; -1 where it would have to be made and the disk takes none. Makes its folder, too, private.

    Raises FileTaken, and OSError where the file cannot be used.
    """
    try:
        if create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, OPEN_FLAGS | (os.O_CREAT if create else 0), 0o600)
    except OSError as error:
        if create and error.errno in _NO_ROOM and not path.exists():
            return -1
        raise
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(fd), path.stat()):
            raise FileTaken(path.stem)  # removed, or replaced, between our open and our lock
    except (BlockingIOError, FileNotFoundError, FileTaken):
        os.close(fd)
        raise FileTaken(path.stem) from None
    except OSError:
        os.close(fd)
        raise
    return fd
