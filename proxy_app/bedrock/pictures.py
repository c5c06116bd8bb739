"""How large a picture is, read from its first bytes, and what that costs in tokens.

Knows the headers of PNG, GIF and JPEG; anything else is taken to be as dear as a picture can be. Invariant: no bytes make
it raise or loop.
"""

from __future__ import annotations

from binascii import a2b_base64

DEAREST = 4800  # the largest picture that the newer models take without shrinking it
CHEAPEST = 85
_PIXELS_A_TOKEN = 750
_HEAD_CHARS = 64 * 1024  # base64 of what holds the size in all but odd files
_SIZE_MARKERS = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))


def picture_tokens(base64_text: str) -> int:
    """An estimate for a base64 picture. Never raises."""
    size = _size(_head(base64_text))
    if size is None:
        return DEAREST
    return min(DEAREST, max(CHEAPEST, size[0] * size[1] // _PIXELS_A_TOKEN + 1))


def _head(base64_text: str) -> bytes:
    text = base64_text[:_HEAD_CHARS]
    try:
        return a2b_base64(text[: len(text) // 4 * 4])
    except ValueError:
        return b""


def _size(head: bytes) -> tuple[int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    if head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    return _jpeg_size(head) if head.startswith(b"\xff\xd8") else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Walks the segments to the frame header; each step moves on by at least two bytes."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _SIZE_MARKERS:
            return int.from_bytes(head[at + 7 : at + 9]), int.from_bytes(head[at + 5 : at + 7])
        at += 2 + int.from_bytes(head[at + 2 : at + 4])
    return None
