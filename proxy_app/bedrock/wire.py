"""Bedrock's answers as Anthropic's: event-stream frames become server-sent events, byte for byte where that is possible.

A frame holds one event of the Messages API as base64 of its JSON; those bytes are sent on as they are. Only three events
are looked into: `message_start` (for its usage, and a `ping` goes right after it), `message_delta` (usage that Bedrock put
elsewhere is merged in: the largest of each count, as the meter counts) and `message_stop`. AWS's own metrics are taken out
wherever they are. Knows no HTTP. Invariant: any split of the same bytes gives the same events, and bad bytes give one
`WireError`, never a hang.
"""

from __future__ import annotations

import re
import struct
from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson
from botocore.eventstream import EventStreamBuffer, ParserError

from proxy_app.bedrock.errors import BedrockFault, from_event, from_frame
from proxy_app.bedrock.repair import serialise
from proxy_app.bedrock.usage import (
    METRICS,
    counts_of_headers,
    counts_of_metrics,
    counts_of_stop,
    largest,
    usage_of,
    with_counts,
    with_split,
    without_metrics,
)

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")  # what can stand in an `event:` line; unknown names pass
_NAMED_FIRST = re.compile(rb'\{"type":"([A-Za-z0-9_.:-]{1,100})"')
_METRICS_BYTES = METRICS.encode()
_LOOKED_INTO = frozenset(("message_start", "message_delta", "message_stop", "error"))


class WireError(Exception):
    """The bytes are not an event stream, or not a whole one. `before` is what had been translated in the same feed."""

    def __init__(self, reason: str, before: bytes = b"") -> None:
        super().__init__(reason)
        self.before = before
        self.frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of the event stream. Header values are text for every header that Bedrock sends."""

    headers: Mapping[str, Any]
    payload: bytes


class FrameDecoder:
    """Frames out of bytes that arrive in any pieces. After a WireError it only repeats it."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()
        self._pending = 0
        self._failed = ""

    def feed(self, data: bytes) -> list[Frame]:
        """Every frame that is complete now. A WireError carries the frames before the bad one in `frames`."""
        if self._failed:
            raise WireError(self._failed)
        self._buffer.add_data(data)
        self._pending += len(data)
        frames: list[Frame] = []
        try:
            for message in self._buffer:
                self._pending -= message.prelude.total_length
                frames.append(Frame(message.headers, message.payload))
        except (ParserError, struct.error, KeyError, ValueError) as error:
            self._failed = f"bad frame: {type(error).__name__}"
            failure = WireError(self._failed)
            failure.frames = tuple(frames)
            raise failure from error
        return frames

    def finish(self) -> None:
        """The stream has ended. Raises WireError when it ended inside a frame."""
        if self._failed or self._pending:
            raise WireError(self._failed or "the stream ended inside a frame")


class StreamTranslator:
    """Server-sent events out of event-stream bytes, for one answer.

    Raises WireError for bytes that are no event stream, BedrockFault when Bedrock says that it failed; both carry in
    `before` what was translated in the same feed. A `message_delta` is held back until the next event, because Bedrock may
    give counts with `message_stop`, which follows at once.
    """

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._usage: dict[str, Any] = {}
        self._held: _Held | None = None
        self._started = False
        self._ended = False

    @property
    def ended(self) -> bool:
        """`message_stop` has been seen: the answer is whole."""
        return self._ended

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        try:
            frames = self._decoder.feed(data)
        except WireError as failure:
            for frame in failure.frames:
                self._translate(frame, out)
            self._fail(failure, out)
        for frame in frames:
            self._translate(frame, out)
        return b"".join(out)

    def finish(self) -> bytes:
        """The stream has ended. What was held back; raises WireError when it ended inside a frame."""
        held = self._release()
        try:
            self._decoder.finish()
        except WireError as error:
            error.before = held
            raise
        return held

    def _translate(self, frame: Frame, out: list[bytes]) -> None:
        first, self._started = not self._started, True
        if _is_exception(frame.headers):
            self._fail(from_frame(frame.headers, frame.payload, first_frame=first), out)
        if frame.headers.get(":event-type") != "chunk":
            return
        event = _decoded(frame.payload)
        if event is None:
            self._fail(WireError("a chunk holds no event"), out)
        name, raw = event
        if name not in _LOOKED_INTO:
            out.append(self._release() + _sse(name, _bare_bytes(raw)))
            return
        parsed = _object(raw)
        if parsed is None:
            self._fail(WireError("an event is not JSON"), out)
        if name == "error":
            self._fail(from_event(parsed, first_frame=first), out)
        out.append(self._looked_into(name, raw, parsed))

    def _looked_into(self, name: str, raw: bytes, parsed: dict[str, Any]) -> bytes:
        if name == "message_start":
            return self._message_start(raw, parsed)
        return self._message_delta(raw, parsed) if name == "message_delta" else self._message_stop(raw, parsed)

    def _fail(self, failure: WireError | BedrockFault, out: list[bytes]) -> NoReturn:
        failure.before = b"".join(out) + self._release()
        raise failure

    def _message_start(self, raw: bytes, parsed: dict[str, Any]) -> bytes:
        message = parsed.get("message")
        self._usage = usage_of(message) if isinstance(message, dict) else {}
        return self._release() + _sse("message_start", _bare_bytes(raw)) + PING

    def _message_delta(self, raw: bytes, parsed: dict[str, Any]) -> bytes:
        before = self._release()
        merged = with_counts(without_metrics(parsed), self._usage)
        self._usage = {**self._usage, **usage_of(merged)}
        self._held = _Held(merged, raw if merged is parsed else None)
        return before

    def _message_stop(self, raw: bytes, parsed: dict[str, Any]) -> bytes:
        self._ended = True
        if self._held is not None:
            event = self._held.event
            merged = with_split(with_counts(event, counts_of_stop(parsed)), usage_of(parsed), self._usage)
            self._held = self._held if merged is event else _Held(merged)
        bare = without_metrics(parsed)
        return self._release() + _sse("message_stop", raw if bare is parsed else serialise(bare))

    def _release(self) -> bytes:
        held, self._held = self._held, None
        if held is None:
            return b""
        return _sse("message_delta", held.raw if held.raw is not None else serialise(held.event))


@dataclass(frozen=True, slots=True)
class _Held:
    """A `message_delta` that waits. `raw` is its bytes as they came, None once it was changed."""

    event: dict[str, Any]
    raw: bytes | None = None


def as_message(raw: bytes, headers: Mapping[str, str]) -> bytes | None:
    """A non-streamed answer: without AWS's metrics, and with the counts that only these or the headers have.

    The very same bytes when there is nothing to mend; None when it is no message (AWS answers unknown operations with a 200
    too). `headers` have lower-case names. Never raises.
    """
    value = _object(raw)
    if value is None or value.get("type") != "message":
        return None
    usage = {**counts_of_headers(headers), **usage_of(value)}
    mended = with_counts(without_metrics(value), largest(usage, counts_of_metrics(value)))
    return raw if mended is value else serialise(mended)


def _is_exception(headers: Mapping[str, Any]) -> bool:
    if headers.get(":message-type") in ("exception", "error"):
        return True
    return str(headers.get(":event-type", "")).endswith("Exception")  # seen: an exception sent as an event


def _decoded(payload: bytes) -> tuple[str, bytes] | None:
    """Type and bytes of the event inside a chunk, the bytes free of line ends; None when there is no event."""
    try:
        raw = a2b_base64(orjson.loads(payload)["bytes"], strict_mode=True)
    except (KeyError, TypeError, ValueError):
        return None
    one_line = b"\n" not in raw and b"\r" not in raw
    first = _NAMED_FIRST.match(raw) if one_line else None
    if first is not None:
        return first[1].decode("ascii"), raw
    parsed = _object(raw) or {}
    said = parsed.get("type")
    if not isinstance(said, str) or _NAME.fullmatch(said) is None:
        return None
    return said, raw if one_line else serialise(parsed)


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _sse(name: str, raw: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), raw)


def _bare_bytes(raw: bytes) -> bytes:
    """Bytes of an event; the very same ones when there is nothing to take out."""
    value = _object(raw) if _METRICS_BYTES in raw else None
    if value is None or (bare := without_metrics(value)) is value:
        return raw
    return serialise(bare)
