"""A text that a process and the processes it forks hold in common, in memory alone: what one learns, the next one begins with.

Knows nothing of what the text is. Invariant: a reader gets a text that was written whole, or none; nothing touches a file.
"""

from __future__ import annotations

import hashlib
import mmap

_ROOM = 16 * 1024
_DIGEST_BYTES, _LENGTH_BYTES = 32, 4
_BEGINS = _DIGEST_BYTES + _LENGTH_BYTES


class SharedText:
    """Made before the fork. Whoever writes last is right; a reader in the middle of a write finds nothing."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _ROOM)  # anonymous, and shared with children

    def read(self) -> str:
        """Empty while nothing was written."""
        kept = bytes(self._memory)
        text = kept[_BEGINS : _BEGINS + int.from_bytes(kept[_DIGEST_BYTES:_BEGINS])]
        return text.decode() if hashlib.sha256(text).digest() == kept[:_DIGEST_BYTES] else ""

    def write(self, text: str) -> None:
        """What is too long for the room is not kept."""
        encoded = text.encode()
        whole = hashlib.sha256(encoded).digest() + len(encoded).to_bytes(_LENGTH_BYTES) + encoded
        if len(whole) <= _ROOM:
            self._memory[: len(whole)] = whole
