"""The `cursor` of a list: where its next page begins, sealed, so that it can be handed to others and is believed when it returns.

Pure. Knows no noun. Invariants: a cursor is good for the list, the filters and the order that it was made for, and for nothing
else; what was not made here, or was changed on its way, is refused before anything of it is read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from admin_app.operation import BadFields, Doing, Listed, Shape
from core.keyset import Page, Place
from core.threads import paced

L = TypeVar("L")
G = TypeVar("G")

_LABEL = b"admin list cursor 1"  # another number with each change of what is inside
_SEAL_BYTES = 16
_NOT_BOUND = ("limit", "cursor")  # pages may be of different sizes


class BadCursor(BadFields):
    """It is none of ours, or another list's."""

    def __init__(self) -> None:
        super().__init__({"cursor": "is not a next_cursor of this list with these filters in this order"})


def after_of(doing: Doing, taken: Any) -> Place | None:
    """Where the page begins that `taken` (with its `cursor`) asks for; None for the first. Raises BadCursor."""
    if not taken.cursor:
        return None
    try:
        whole = base64.urlsafe_b64decode(taken.cursor + "=" * (-len(taken.cursor) % 4))
    except (binascii.Error, ValueError):
        raise BadCursor from None
    seal, place = whole[:_SEAL_BYTES], whole[_SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(doing, taken, place)) or cursor_of(doing, taken, place) != taken.cursor:
        raise BadCursor
    return tuple(msgspec.msgpack.decode(place))


def listed(doing: Doing, taken: Any, page: Page[L], shown: Callable[[L], G]) -> Listed[G]:
    """The answer with a page of the list that `taken` asks for."""
    return Listed(data=[shown(line) for line in paced(page.lines)], next_cursor=next_cursor(doing, taken, page.last))


def next_cursor(doing: Doing, taken: Shape, last: Place | None) -> str | None:
    return None if last is None else cursor_of(doing, taken, msgspec.msgpack.encode(last))


def cursor_of(doing: Doing, taken: Shape, place: bytes) -> str:
    return base64.urlsafe_b64encode(_seal(doing, taken, place) + place).decode().rstrip("=")


def _seal(doing: Doing, taken: Shape, place: bytes) -> bytes:
    asked = {name: value for name, value in msgspec.structs.asdict(taken).items() if name not in _NOT_BOUND}
    about = msgspec.msgpack.encode((type(taken).__name__, asked, place))
    key = hmac.digest(doing.tools.server_secret.encode(), _LABEL, hashlib.sha256)
    return hmac.digest(key, about, hashlib.sha256)[:_SEAL_BYTES]
