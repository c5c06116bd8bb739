"""An HTTP answer as the load generator sees it: where it ends, whether it was the one expected, and how late its events were.

Pure: bytes and the moment they came go in. Reads as little as it can, since it runs once for every event of a thousand streams.
Invariant: however the bytes are split, `complete` turns true at the answer's last byte.
"""

from __future__ import annotations

import re

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_STAMP = re.compile(rb'"text":"(\d{10,})"')
_LAST_CHUNK = b"\r\n0\r\n\r\n"  # our event texts hold no carriage return, so nothing else in a body looks like it


class Answer:
    """One answer. `fault` is empty while it is what was expected; `delays_ns` belong to events with a stamp."""

    __slots__ = ("_expect", "_head", "_head_seen", "_left", "_tail", "complete", "delays_ns", "fault")

    def __init__(self, expect: bytes = b"") -> None:
        self._expect = expect.lower()
        self._head = b""
        self._head_seen = False
        self._left: int | None = None
        self._tail = b""
        self.complete = False
        self.fault = ""
        self.delays_ns: list[int] = []

    def feed(self, received: bytes, now_ns: int) -> None:
        if not self._head_seen:
            self._head += received
            end = self._head.find(_HEAD_END)
            if end < 0:
                return
            received = self._head[end + 2 :]  # the head's last line end stays, as the one before the first chunk
            self._begin(self._head[: end + 2])
        if self._left is not None:
            self._left -= len(received)
            self.complete = self._left <= 0
            return
        for stamp in _STAMP.findall(received):
            self.delays_ns.append(now_ns - int(stamp))
        self._tail = (self._tail + received)[-len(_LAST_CHUNK) :]
        self.complete = self._tail == _LAST_CHUNK

    def _begin(self, head: bytes) -> None:
        self._head_seen = True
        status = head[9:12]
        if status != b"200":
            self.fault = f"status {status.decode('latin-1')}"
        elif self._expect not in head.lower():
            self.fault = f"no {self._expect.decode()!r} in the answer's head"
        length = _LENGTH.search(head)
        if length:
            self._left = int(length[1]) + 2
        elif not _CHUNKED.search(head):
            self.fault = self.fault or "an answer without framing"
            self.complete = True
