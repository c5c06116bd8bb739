"""Token usage of an answer, counted while its bytes pass.

Pure: bytes in, counts out; it never holds bytes back and never changes them. It knows Anthropic's wire format (what every
`Reply.body` yields) and nothing of prices or upstreams. A relayed event costs about a microsecond: bytes are searched, and
only the four events that say something about usage or the end are parsed. Invariant: any split of the same bytes gives the
same counts; memory is bounded (`MOST_EVENT_BYTES`, `MOST_JSON_BYTES`); no input raises.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from core.types import Confidence, Usage
from proxy_app.sse import read_event

MOST_EVENT_BYTES = 1024 * 1024
MOST_JSON_BYTES = 32 * 1024 * 1024

# Where an event ends: two line ends in a row, and CRLF is one. Of the CRLF pairs these two bytes are the middle; a line feed
# that is left over begins the next event with an empty line, which means nothing.
_EVENT_END = re.compile(rb"\n[\n\r]|\r\r")
_TELLING = frozenset({b"message_start", b"message_delta", b"message_stop", b"error"})
_LONGEST_KEYWORD = len(b"message_")
_MOST_TOKENS = 10**12  # a count above this is not a count


class _Counts:
    """Counts of one answer, merged from several reports: the largest of each (they are cumulative; facts/bedrock 1.5)."""

    __slots__ = ("input", "output", "read", "split", "write", "write_1h", "write_5m")

    def __init__(self) -> None:
        self.input = self.output = self.read = self.write = self.write_5m = self.write_1h = 0
        self.split = False

    def merge(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        self.input = max(self.input, _count(usage, "input_tokens"))
        self.output = max(self.output, _count(usage, "output_tokens"))
        self.read = max(self.read, _count(usage, "cache_read_input_tokens"))
        self.write = max(self.write, _count(usage, "cache_creation_input_tokens"))
        written = usage.get("cache_creation")
        if isinstance(written, dict):
            self.split = True
            self.write_5m = max(self.write_5m, _count(written, "ephemeral_5m_input_tokens"))
            self.write_1h = max(self.write_1h, _count(written, "ephemeral_1h_input_tokens"))

    @property
    def usage(self) -> Usage:
        """Cache writes whose time to live nobody named are 5-minute ones (the default of the API)."""
        written_5m = max(self.write_5m, self.write - self.write_1h) if self.split else self.write
        return Usage(self.input, self.output, written_5m, self.write_1h, self.read)


class StreamMeter:
    """Meter of a streamed answer."""

    __slots__ = ("_counts", "_held", "_lost", "_passing_over", "_telling", "ended", "error_type", "model", "stopped")

    def __init__(self) -> None:
        self.model = ""
        self.error_type = ""  # an `error` event passed by
        self.ended = False  # message_stop was seen
        self.stopped = False  # message_delta with a stop_reason was seen: only message_stop is still to come
        self._counts = _Counts()
        self._held = bytearray()  # the beginning of an event whose end has not come
        self._telling = False  # what is held may tell something
        self._passing_over = False  # inside an event that is too long to hold
        self._lost = False

    @property
    def usage(self) -> Usage:
        return self._counts.usage

    @property
    def confidence(self) -> Confidence:
        return Confidence.EXACT if self.ended and not self._lost else Confidence.PARTIAL

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes of the answer. Whole events without usage, the usual case, are not even split."""
        held = self._held
        if not held and chunk.endswith(b"\n\n") and not _may_tell(chunk):
            return
        before = len(held)
        held += chunk
        if not self._telling:
            self._telling = _may_tell(held, max(0, before - _LONGEST_KEYWORD + 1))
        end = _last_event_end(held, max(0, before - 1))
        if end:
            self._take(end)
        if self._passing_over or len(held) > MOST_EVENT_BYTES + 1:  # the last byte may belong to the event's end
            self._pass_over()

    def finish(self) -> None:
        """The last byte has passed. An event that lacks only its empty line still counts."""
        if self._telling:
            self._take(len(self._held))
        self._held.clear()

    def _take(self, end: int) -> None:
        """Whole events are held up to `end`: read those that may tell something, forget all of them."""
        if self._telling:
            whole = bytes(self._held[:end])
            events = _EVENT_END.split(whole) if b"\r" in whole else whole.split(b"\n\n")
            if self._passing_over:
                rest_of_it = events.pop(0)
                self._lost = self._lost or _may_tell(rest_of_it)
            for event in events:
                if _may_tell(event):
                    self._read(event)
        del self._held[:end]
        self._passing_over = False
        self._telling = _may_tell(self._held)

    def _pass_over(self) -> None:
        """An event is too long to hold. It is missed only if it might have told something."""
        self._lost = self._lost or self._telling
        self._passing_over = True
        self._telling = False
        del self._held[: 1 - _LONGEST_KEYWORD]

    def _read(self, block: bytes) -> None:
        if len(block) > MOST_EVENT_BYTES:
            self._lost = True
            return
        if block.startswith(b"event: content_block_") and block.find(b"\nevent", 20) < 0 and b"\r" not in block:
            return  # somebody's prose has one of the words in it: no need to look closer
        event = read_event(block)
        if event is None or event.name.encode() not in _TELLING:
            return
        try:
            payload = orjson.loads(event.data)
        except ValueError:
            return
        if isinstance(payload, dict):
            self._note(event.name, payload)

    def _note(self, name: str, payload: dict[str, Any]) -> None:
        if name == "error":
            self.error_type = _error_type(payload)
            return
        if name == "message_start":
            message = payload.get("message")
            payload = message if isinstance(message, dict) else {}
            self.model = _text(payload, "model")
        elif name == "message_stop":
            self.ended = True
        elif isinstance(delta := payload.get("delta"), dict) and delta.get("stop_reason"):
            self.stopped = True
        self._counts.merge(payload.get("usage"))


class JsonMeter:
    """Meter of an answer that is one JSON document (or an error of whatever kind): read when it is complete."""

    __slots__ = ("_bytes", "_chunks", "_counts", "ended", "error_type", "model")

    def __init__(self) -> None:
        self.model = ""
        self.error_type = ""
        self.ended = False  # the document was complete and was understood
        self._counts = _Counts()
        self._chunks: list[bytes] = []
        self._bytes = 0

    @property
    def usage(self) -> Usage:
        return self._counts.usage

    @property
    def confidence(self) -> Confidence:
        return Confidence.EXACT if self.ended else Confidence.PARTIAL

    def feed(self, chunk: bytes) -> None:
        self._bytes += len(chunk)
        if self._bytes <= MOST_JSON_BYTES:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def finish(self) -> None:
        try:
            payload = orjson.loads(b"".join(self._chunks))
        except ValueError:
            return
        finally:
            self._chunks.clear()
        if not isinstance(payload, dict):
            return
        self.ended = True
        self.model = _text(payload, "model")
        self._counts.merge(payload.get("usage"))
        if payload.get("type") == "error":
            self.error_type = _error_type(payload)


def meter_for(streamed: bool, status: int) -> StreamMeter | JsonMeter:
    """`streamed` says what the answer is (an error answer to a streaming request is one JSON document)."""
    return StreamMeter() if streamed and 200 <= status < 300 else JsonMeter()


def _may_tell(text: bytes | bytearray, start: int = 0) -> bool:
    return text.find(b"message_", start) >= 0 or text.find(b"error", start) >= 0


def _last_event_end(text: bytearray, start: int) -> int:
    """Where the last whole event ends, or 0."""
    end = text.rfind(b"\n\n", start)
    if text.find(b"\r", start) >= 0:
        end = max(end, text.rfind(b"\n\r", start), text.rfind(b"\r\r", start))
    return end + 2 if end >= 0 else 0


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0


def _text(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    return value if isinstance(value, str) else ""


def _error_type(payload: dict[str, Any]) -> str:
    error = payload.get("error")
    return (_text(error, "type") if isinstance(error, dict) else "") or "api_error"
