"""An answer on its way to the client, whatever made it: one relay for all.

Feeds the meter as bytes pass, ends a broken stream with one well-formed error event, and sees to it that the request is
recorded exactly once, before the last bytes leave (the server calls `close()` only after the client has everything, and a
kill in between must lose nothing). Never raises for an event stream. Refuses to know providers, vendors and databases.

Of an event stream whole lines are passed on, a line's beginning waits for its end: a client cannot use it, and were the
upstream to break there, the error event would be glued to half a JSON document. Bytes, order and the moment of every event
stay what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.types import Confidence
from core.worker import AnswerAborted
from proxy_app.call import Call, StreamBroken
from proxy_app.faults import Fault
from proxy_app.gateway import Opened
from proxy_app.meter import meter_for
from proxy_app.recorder import Recorder
from proxy_app.sse import error_event

_LONGEST_LINE = 1024 * 1024


class Relay:
    """The WSGI iterable. `close()` is idempotent and does the books if iterating did not get that far."""

    __slots__ = ("_call", "_clock", "_done", "_events", "_held", "_left", "_meter", "_opened", "_recorder")

    def __init__(self, call: Call, opened: Opened, recorder: Recorder, clock: Callable[[], float]) -> None:
        self._call = call
        self._opened = opened
        self._recorder = recorder
        self._clock = clock
        self._meter = meter_for(opened.reply.streamed, opened.reply.status)
        self._left = _announced(opened)
        self._events = opened.reply.streamed and not _is_encoded(opened)
        self._held = b""
        self._done = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._opened.reply.body:
                self._count(chunk)
                if self._events and (self._held or not chunk.endswith(b"\n")):
                    chunk = self._whole_lines(chunk)
                if chunk:
                    yield chunk
        except StreamBroken as broken:
            last_words = self._broken(broken)
            if last_words is None:
                raise AnswerAborted from None
            yield last_words
        else:
            self._finish(self._unfinished())
            if self._held:
                yield self._held

    def close(self) -> None:
        self._opened.reply.body.close()
        self._call.lifeline.close()
        self._finish(Fault.CLIENT_GONE)

    def _count(self, chunk: bytes) -> None:
        """What passes is metered; with the answer's last bytes in hand the books are done before they leave."""
        is_first = self._opened.outcome.first_byte is None
        if is_first:
            self._opened.outcome.first_byte = self._clock()
        self._meter.feed(chunk)
        if self._left is not None:
            self._left -= len(chunk)
        if self._meter.ended or (self._left is not None and self._left <= 0):
            self._finish(None)
        elif is_first:
            self._recorder.begin(self._call, self._opened.outcome, self._meter.usage)

    def _whole_lines(self, chunk: bytes) -> bytes:
        held = self._held + chunk
        end = held.rfind(b"\n") + 1
        if not end and len(held) > _LONGEST_LINE:
            end = len(held)
        self._held = held[end:]
        return held[:end]

    def _unfinished(self) -> Fault | None:
        """A stream that ended in good order but without its last event is broken too, though its bytes are left alone."""
        missing = self._opened.reply.streamed and not self._meter.ended and not self._meter.error_type
        return Fault.STREAM_BROKEN if missing and self._events else None

    def _broken(self, broken: StreamBroken) -> bytes | None:
        """What ends a broken answer in good order; None where only cutting the connection tells the truth."""
        if self._call.lifeline.gone:
            self._finish(Fault.CLIENT_GONE)
            return None
        if self._meter.ended or self._meter.error_type:  # its last word has passed
            self._finish(None)
            return b""
        if self._call.lifeline.draining:
            self._finish(Fault.STREAM_BROKEN, "overloaded_error", "drained")
            message = "claude-code-proxy: this server is restarting; the answer was cut"
        else:
            self._finish(Fault.STREAM_BROKEN, broken.error_type, str(broken))
            message = f"claude-code-proxy: the upstream broke off ({broken})"
        if not self._events:
            return None
        return b"\n" + error_event(broken.error_type, message, self._call.request_id)

    def _finish(self, fault: Fault | None, error_type: str = "", note: str = "") -> None:
        """Settle the circuit and record, once."""
        if self._done:
            return
        self._done = True
        outcome = self._opened.outcome
        self._meter.finish()
        outcome.usage = self._meter.usage
        outcome.confidence = self._confidence(fault)
        outcome.error_type = error_type or self._meter.error_type or outcome.error_type
        outcome.ended = self._clock()
        if note:
            outcome.trace.append(note)
        if fault is not None:
            outcome.fault = fault
        self._settle(fault)
        self._recorder.finish(self._call, outcome)
        if self._opened.reservation is not None:  # what it cost is counted by now
            self._opened.reservation.release()

    def _confidence(self, fault: Fault | None) -> Confidence:
        """Partial as soon as something was cut, also before the answer began: the upstream may have been at work."""
        outcome = self._opened.outcome
        was_cut = outcome.provider is None and self._call.lifeline.draining
        if fault is not None or outcome.fault is Fault.CLIENT_GONE or was_cut:
            return Confidence.PARTIAL
        return outcome.confidence if outcome.confidence is Confidence.ESTIMATED else self._meter.confidence

    def _settle(self, fault: Fault | None) -> None:
        admission = self._opened.admission
        if admission is None:
            return
        if fault is Fault.CLIENT_GONE or self._call.lifeline.draining:
            admission.neutral()
        elif fault is not None or self._meter.error_type:
            admission.failed(fault or Fault.STREAM_BROKEN)
            self._opened.outcome.circuit = admission.circuit()
        else:
            admission.succeeded()


def _announced(opened: Opened) -> int | None:
    """The body's length where the answer's head says it."""
    for name, value in opened.reply.headers:
        if name.lower() == "content-length" and value.isdigit():
            return int(value)
    return None


def _is_encoded(opened: Opened) -> bool:
    """Compressed bytes are opaque: no event can be told apart or added."""
    return any(name.lower() == "content-encoding" and value != "identity" for name, value in opened.reply.headers)
