"""A request body as JSON: the few fields that decide, without building the rest, or all of it.

Pure; never raises. msgspec reads past what a type does not name (a third of the time of parsing it all), orjson parses whole
bodies, and the standard library takes the little that both refuse (lone surrogates, numbers over 64 bits).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

_LONGEST_PROBE = 2000


class Head(msgspec.Struct):
    """What routing depends on, of whatever type the client sent."""

    model: Any = None
    stream: Any = None
    max_tokens: Any = None
    messages: msgspec.Raw = msgspec.Raw(b"null")


_HEAD = msgspec.json.Decoder(Head)


def read_head(body: bytes) -> Head | None:
    """None when the body is not a JSON object."""
    try:
        return _HEAD.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        whole = parse_object(body)  # it may be odd rather than wrong
    if whole is None:
        return None
    messages = msgspec.Raw(_dumped(whole.get("messages")))
    return Head(whole.get("model"), whole.get("stream"), whole.get("max_tokens"), messages)


def parse_object(body: bytes) -> dict[str, Any] | None:
    """The whole body, or None when it is not a JSON object."""
    try:
        parsed = orjson.loads(body)
    except ValueError:
        parsed = _parse_slowly(body)
    return parsed if isinstance(parsed, dict) else None


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
