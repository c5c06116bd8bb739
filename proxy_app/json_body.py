"""A request body as JSON: the few fields that decide, without building the rest, or all of it; and JSON made of it again.

Pure; never raises but for what `serialise` says. msgspec reads past what a type does not name (a third of the time of parsing
it all), orjson parses, and the standard library takes the little that both refuse (lone surrogates, numbers over 64 bits).
Megabytes take tens of milliseconds, in which no other stream would be served: so a body is taken message by message, and
`rest` is called in between. Invariant: in pieces or at once, the same body gives the same value and the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec
import orjson

Rest = Callable[[], None]
Turns = Callable[[], AbstractContextManager[Rest]]

_LONGEST_PROBE = 2000
_PARSED_AT_ONCE = 256 * 1024  # bytes; takes a millisecond
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_OPENS_LIST = ord("[")
_HARMLESS = rb"\\u0020"


def no_rest() -> None:
    """The `rest` of whoever holds nobody up."""


def at_once() -> AbstractContextManager[Rest]:
    """The turns of whoever holds nobody up."""
    return nullcontext(no_rest)


class Head(msgspec.Struct):
    """What routing depends on, of whatever type the client sent."""

    model: Any = None
    stream: Any = None
    max_tokens: Any = None
    messages: msgspec.Raw = msgspec.Raw(b"null")


_HEAD = msgspec.json.Decoder(Head)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def read_head(body: bytes) -> Head | None:
    """None when the body is not a JSON object."""
    head = _decoded_head(body)
    if head is None and len(body) > _PARSED_AT_ONCE:
        head = _decoded_head(_SURROGATE.sub(_HARMLESS, body))  # half an emoji is not worth parsing it all
    if head is not None:
        return head
    whole = parse_object(body)  # it may be odd rather than wrong
    if whole is None:
        return None
    messages = msgspec.Raw(_dumped(whole.get("messages")))
    return Head(whole.get("model"), whole.get("stream"), whole.get("max_tokens"), messages)


def parse_object(body: bytes, rest: Rest = no_rest) -> dict[str, Any] | None:
    """The whole body, or None when it is not a JSON object."""
    parsed = _parsed_in_pieces(body, rest) if len(body) > _PARSED_AT_ONCE else None
    if parsed is None:
        parsed = _parsed(body)
    return parsed if isinstance(parsed, dict) else None


def serialise(body: Mapping[str, Any], rest: Rest = no_rest) -> bytes:
    """The body as JSON, a message at a time. Raises RecursionError when it is nested too deeply."""
    pieces: list[bytes] = []
    for name, value in body.items():
        pieces += (b"," if pieces else b"{", written_json(name), b":")
        if name == "messages" and type(value) is list:
            for place, item in enumerate(value):
                pieces += (b"," if place else b"[", written_json(item))
                rest()
            pieces.append(b"]" if value else b"[]")
        else:
            pieces.append(written_json(value))
            rest()
    pieces.append(b"}" if pieces else b"{}")
    return b"".join(pieces)


def written_json(value: Any) -> bytes:
    """orjson refuses lone surrogates and integers over 64 bits, which a client may have sent. Raises as `serialise`."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def is_quota_probe(head: Head) -> bool:
    """Claude Code's way to learn its windows: `max_tokens` 1 and one user message `quota` (facts: observed, 2.1.330)."""
    raw = bytes(head.messages)
    if head.max_tokens != 1 or len(raw) > _LONGEST_PROBE:
        return False
    try:
        messages = orjson.loads(raw)
    except ValueError:
        return False
    if not isinstance(messages, list) or len(messages) != 1 or not isinstance(messages[0], Mapping):
        return False
    return messages[0].get("role") == "user" and messages[0].get("content") == "quota"


def _decoded_head(body: bytes) -> Head | None:
    try:
        return _HEAD.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _parsed_in_pieces(body: bytes, rest: Rest) -> dict[str, Any] | None:
    """None when it is odd: then it is parsed at once."""
    try:
        fields = _FIELDS.decode(body)
        rest()
        return {name: _parsed_field(name, memoryview(raw), rest) for name, raw in fields.items()}
    except (ValueError, RecursionError, UnicodeDecodeError):
        return None


def _parsed_field(name: str, raw: memoryview, rest: Rest) -> Any:
    rest()
    if name != "messages" or raw[0] != _OPENS_LIST:
        return orjson.loads(raw)
    items = _ITEMS.decode(raw)
    return [_rested(orjson.loads(memoryview(item)), rest) for item in items]


def _rested(value: Any, rest: Rest) -> Any:
    rest()
    return value


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        return _parse_slowly(body)


def _parse_slowly(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _no_constant(word: str) -> None:
    """`NaN` and `Infinity`, which the standard library takes for JSON."""
    raise ValueError(word)


def _dumped(value: Any) -> bytes:
    """Only short messages matter here; what orjson cannot write is no quota probe."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return b"null"
