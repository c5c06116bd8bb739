"""Server-sent events, as far as the proxy must understand them: the first event of a stream, and one event of our own.

Pure: bytes in, values out. Knows nothing of models, usage or upstreams. Rules (WHATWG HTML, section 9.2.6): a line ends with
LF, CRLF or CR; an empty line ends an event; a line that starts with a colon is a comment; several `data` lines are joined
with LF; an event without data is no event. Invariant: more bytes never change an event that was already found.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

MOST_BYTES_BEFORE_AN_EVENT = 256 * 1024

_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"event", b"data", b"id", b"retry")
_LONGEST_FIELD = max(map(len, _FIELDS))


class NotSse(Exception):
    """These bytes are not an event stream, or hold no event within the bound. Carries no bytes of the body."""


@dataclass(frozen=True, slots=True)
class FirstEvent:
    """`name` is the `event` line's, else the `type` inside the JSON data, else `message` as the standard has it."""

    name: str
    data: bytes


def first_event(buffer: bytes) -> FirstEvent | None:
    """The first event in `buffer`, or None while it is not complete. Raises NotSse when none can be expected.

    Meant to be called again with the same bytes and more. Whether a stream may end here is for the caller to say.
    """
    text = buffer.removeprefix(_BOM)
    if not _may_begin_a_stream(text.lstrip(b"\r\n")) and not _BOM.startswith(buffer):
        raise NotSse("the first bytes are not those of an event stream")
    event = _scan(text)
    if event is None and len(buffer) >= MOST_BYTES_BEFORE_AN_EVENT:
        raise NotSse(f"no event within {MOST_BYTES_BEFORE_AN_EVENT} bytes")
    return event


def read_event(block: bytes) -> FirstEvent | None:
    """The event that one whole block (up to its empty line) holds; None for a block of comments."""
    return _scan(block + b"\n\n")


def event_name_in(payload: bytes) -> str:
    """The `type` inside an event's JSON, or `message`."""
    try:
        value = orjson.loads(payload)
    except ValueError:
        return "message"
    named = value.get("type") if isinstance(value, dict) else None
    return named if isinstance(named, str) else "message"


def error_event(error_type: str, message: str, request_id: str | None = None) -> bytes:
    """One whole `event: error` block in Anthropic's shape (SPEC section 3)."""
    body: dict[str, object] = {"type": "error", "error": {"type": error_type, "message": message}}
    if request_id is not None:
        body["request_id"] = request_id
    return b"event: error\ndata: " + orjson.dumps(body) + b"\n\n"


def _may_begin_a_stream(text: bytes) -> bool:
    """The standard ignores unknown fields; we do not, or every HTML page would be a stream without events."""
    if not text or text.startswith(b":"):
        return True
    head = text[: _LONGEST_FIELD + 1].splitlines()[0]
    name, colon, _ = head.partition(b":")
    whole = bool(colon) or len(head) < min(len(text), _LONGEST_FIELD + 1)
    return name in _FIELDS if whole else any(field.startswith(head) for field in _FIELDS)


def _scan(text: bytes) -> FirstEvent | None:
    name = b""
    payload: list[bytes] = []
    for line in text.splitlines(keepends=True):  # on bytes these are exactly LF, CRLF and CR
        if line[-1] not in b"\r\n":
            return None
        field, _, value = line.rstrip(b"\r\n").partition(b":")
        if field == b"event":
            name = value.removeprefix(b" ")
        elif field == b"data":
            payload.append(value.removeprefix(b" "))
        elif line in (b"\n", b"\r\n", b"\r"):
            if payload:
                return _event(name, b"\n".join(payload))
            name = b""
    return None


def _event(name: bytes, payload: bytes) -> FirstEvent:
    return FirstEvent(name.decode("utf-8", "replace") or event_name_in(payload), payload)
