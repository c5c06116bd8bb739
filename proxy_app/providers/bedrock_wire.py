"""Bedrock's HTTP: the request as AWS wants it, and its answer's bytes as Anthropic's events.

Knows deadlines and pings; refuses to know keys, model ids and what a fault leads to. Invariant: what leaves here are whole
events, and a stream that broke says so by `StreamBroken`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.types import BedrockKey
from proxy_app.bedrock.errors import BedrockFault
from proxy_app.bedrock.wire import PING, StreamTranslator, WireError
from proxy_app.call import Lifeline, StreamBroken
from proxy_app.faults import Fault
from proxy_app.http_pool import HttpPool
from proxy_app.upstream_http import BodyBroken, Origin, UpstreamAnswer, UpstreamRequest
from proxy_app.upstream_socket import Expired, Severed

_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BedrockLimits:
    """Seconds, and the most `max_tokens` to ask for (0: no cap); see the settings of the same names."""

    first_byte_s: float
    response_s: float
    silence_s: float
    ping_s: float
    max_tokens: int = 0


@dataclass(frozen=True, slots=True)
class BedrockEndpoint:
    """Where Bedrock is; `{region}` in the address is filled in from the key. One, shared by whatever asks Bedrock."""

    pool: HttpPool
    url: str

    def post(self, key: BedrockKey, target: str, payload: bytes, lifeline: Lifeline | None, deadline: float) -> UpstreamAnswer:
        """As `HttpPool.send`. Nothing of the client's headers goes to AWS."""
        headers = (
            ("authorization", f"Bearer {key.secret}"),
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("x-amzn-bedrock-accept", "application/json"),
            ("accept-encoding", "identity"),
        )
        origin = Origin.of(self.url.replace("{region}", key.region))
        return self.pool.send(UpstreamRequest(origin, "POST", target, headers, payload), lifeline, deadline)


def read_whole(answer: UpstreamAnswer, deadline: float) -> bytes:
    pieces, size = [], 0
    while chunk := answer.read(deadline):
        pieces.append(chunk)
        size += len(chunk)
        if size > _ANSWER_BYTES:
            raise BodyBroken("an answer over 64 MB")
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Begun:
    """A stream's first events, and what broke it right behind them: too late for another try, it is paid for."""

    seen: bytes
    broken: BedrockFault | WireError | None = None


def begin(answer: UpstreamAnswer, translator: StreamTranslator, deadline: float) -> Begun:
    """Wait for the first event. Raises BedrockFault or WireError when it is none, and as `UpstreamAnswer.read`."""
    while received := answer.read(deadline):
        try:
            seen = translator.feed(received)
        except (BedrockFault, WireError) as error:
            if not error.before:
                raise
            return Begun(error.before, error)
        if seen:
            return Begun(seen)
    raise BodyBroken("the stream ended before its first event")


class BedrockBody:
    """Frames into events as they arrive, a ping into every silence that the client would hear. See `proxy_app.call.Body`."""

    __slots__ = ("_answer", "_begun", "_clock", "_limits", "_translator")

    def __init__(
        self,
        answer: UpstreamAnswer,
        translator: StreamTranslator,
        begun: Begun,
        limits: BedrockLimits,
        clock: Callable[[], float],
    ) -> None:
        self._answer = answer
        self._translator = translator
        self._begun = begun
        self._limits = limits
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        yield self._begun.seen
        if self._begun.broken is not None:
            raise _broken(self._begun.broken)
        heard = spoken = self._clock()
        while True:
            try:
                received = self._answer.read(min(spoken + self._limits.ping_s, heard + self._limits.silence_s))
            except Expired:
                if self._clock() >= heard + self._limits.silence_s:
                    raise StreamBroken(Fault.STREAM_BROKEN, "Bedrock fell silent") from None
                yield PING
                spoken = self._clock()
                continue
            except BodyBroken as error:
                raise StreamBroken(Fault.STREAM_BROKEN, str(error)) from error
            except Severed:
                raise StreamBroken(Fault.CLIENT_GONE, "severed") from None
            for events in self._translated(received):
                yield events
                spoken = self._clock()
            heard = self._clock()  # only now: a client that is slow to read is not Bedrock's silence
            if not received:
                break
        if not self._translator.ended:
            raise StreamBroken(Fault.STREAM_BROKEN, "Bedrock ended the stream early")

    def _translated(self, received: bytes) -> Iterator[bytes]:
        """The events in these bytes; with none, what the translator still held."""
        try:
            events = self._translator.feed(received) if received else self._translator.finish()
        except (BedrockFault, WireError) as error:
            if error.before:
                yield error.before
            raise _broken(error) from error
        if events:
            yield events

    def close(self) -> None:
        self._answer.close()


def _broken(error: BedrockFault | WireError) -> StreamBroken:
    error_type = error.error_type if isinstance(error, BedrockFault) else "api_error"
    return StreamBroken(Fault.STREAM_BROKEN, f"Bedrock: {error}", error_type)
