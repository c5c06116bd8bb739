"""Bedrock's answers as Anthropic's: event-stream frames become server-sent events, byte for byte where that is possible.

A frame holds one event of the Messages API as base64 of its JSON; those bytes are sent on as they are. Only three events
are looked into: `message_start` (for its usage, and a `ping` goes right after it), `message_delta` (usage that Bedrock put
elsewhere is merged in) and `message_stop` (AWS's own metrics are taken out). Knows no HTTP. Invariant: any split of the
same bytes gives the same events, and bad bytes give one `WireError`, never a hang.
"""

from __future__ import annotations

import struct
from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson
from botocore.eventstream import EventStreamBuffer, ParserError

from proxy_app.bedrock.errors import BedrockFault, from_event, from_frame
from proxy_app.bedrock.repair import serialise

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
METRICS = "amazon-bedrock-invocationMetrics"
_METRICS_BYTES = METRICS.encode()
_HEAD = b'{"type":"'
_LOOKED_INTO = frozenset(("message_start", "message_delta", "message_stop", "error"))
# Where the four counts are, in the order in which a client's `message_delta` has them, and AWS's names for them.
_COUNTS = {
    "input_tokens": "inputTokenCount",
    "cache_creation_input_tokens": "cacheWriteInputTokenCount",
    "cache_read_input_tokens": "cacheReadInputTokenCount",
    "output_tokens": "outputTokenCount",
}


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
    `before` what was translated in the same feed. A `message_delta` whose counts are not complete is held back until the
    next event, because Bedrock may give them with `message_stop`.
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
            out.append(self._release() + _sse(name, raw))
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
        self._usage = _usage(message) if isinstance(message, dict) else {}
        return self._release() + _sse("message_start", raw) + PING

    def _message_delta(self, raw: bytes, parsed: dict[str, Any]) -> bytes:
        before = self._release()
        merged = _with_counts(parsed, self._usage)
        if all(name in _usage(merged) for name in _COUNTS):
            return before + _sse("message_delta", raw if merged is parsed else serialise(merged))
        self._held = _Held(merged, raw if merged is parsed else None)
        return before

    def _message_stop(self, raw: bytes, parsed: dict[str, Any]) -> bytes:
        self._ended = True
        if self._held is not None:
            merged = _with_counts(self._held.event, _stop_counts(parsed))
            self._held = self._held if merged is self._held.event else _Held(merged)
        if METRICS in parsed:
            raw = serialise({name: value for name, value in parsed.items() if name != METRICS})
        return self._release() + _sse("message_stop", raw)

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


def as_message(raw: bytes) -> bytes:
    """A non-streamed answer without AWS's metrics; the very same bytes when there are none. Never raises."""
    value = _object(raw) if _METRICS_BYTES in raw else None
    if value is None or METRICS not in value:
        return raw
    return serialise({name: part for name, part in value.items() if name != METRICS})


def is_message(raw: bytes) -> bool:
    """Whether a 200 holds a message: AWS answers unknown operations with 200 too."""
    value = _object(raw)
    return value is not None and value.get("type") == "message"


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
    if one_line and raw.startswith(_HEAD):
        name = raw[len(_HEAD) : raw.find(b'"', len(_HEAD))].decode("ascii", "replace")
        return (name, raw) if name.isidentifier() else None
    parsed = _object(raw) or {}
    said = parsed.get("type")
    if not isinstance(said, str) or not said.isidentifier():
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


def _usage(holder: Mapping[str, Any]) -> dict[str, Any]:
    usage = holder.get("usage")
    return usage if isinstance(usage, dict) else {}


def _with_counts(event: dict[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """The event with the counts that its own usage does not have; the same object when there is nothing to add."""
    usage = _usage(event)
    missing = {name: counts[name] for name in _COUNTS if name not in usage and isinstance(counts.get(name), int)}
    return {**event, "usage": {**usage, **missing}} if missing else event


def _stop_counts(event: Mapping[str, Any]) -> dict[str, Any]:
    """What `message_stop` says of usage: in Anthropic's names, else in AWS's metrics."""
    metrics = event.get(METRICS)
    of_metrics = {name: metrics.get(aws) for name, aws in _COUNTS.items()} if isinstance(metrics, dict) else {}
    return {**of_metrics, **_usage(event)}
