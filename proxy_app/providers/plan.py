"""The Plan upstream: Anthropic, with the developer's own credentials, byte for byte both ways.

Reads of an answer only what decides: the status, the headers of a refusal, the first event of a stream. Never re-serialises
a body, but for the one decided exception: a 400 about thinking signatures is asked once more without the thinking blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from core.types import ProviderName
from proxy_app import headers as header_rules
from proxy_app.bedrock.repair import serialise, strip_thinking
from proxy_app.call import Asked, BytesBody, Call, Endpoint, Headers, Reply, StreamBroken
from proxy_app.faults import Fault, UpstreamError
from proxy_app.http_pool import HttpPool
from proxy_app.providers.plan_answers import Verdict, error_type_of, fault_of_error_event, judge, names_thinking
from proxy_app.sse import FirstEvent, NotSse, first_event
from proxy_app.upstream_http import BodyBroken, ConnectFailed, NoAnswer, Origin, UpstreamAnswer, UpstreamRequest
from proxy_app.upstream_socket import Expired, Severed

_ERROR_BODY_BYTES = 4 * 1024 * 1024
_ERROR_BODY_S = 10.0
_AFTER_ERROR_S = 1.0  # an error event is the last of its stream; what may follow is not worth a longer wait
Observer = Callable[[str, Headers], None]

_SMALL = (Endpoint.COUNT_TOKENS, Endpoint.MODELS)


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """Seconds; see the settings of the same names."""

    first_byte_s: float
    response_s: float
    silence_s: float
    count_tokens_s: float
    patience_s: float


def _nobody(access_key_id: str, headers: Headers) -> None:
    """Nobody wants to know."""


class PlanProvider:
    """See `proxy_app.providers.Provider`. `observe` hears of every answer's headers; it must neither block nor raise."""

    name = ProviderName.PLAN
    metered = False

    def __init__(
        self, pool: HttpPool, url: str, limits: PlanLimits, clock: Callable[[], float], observe: Observer = _nobody
    ) -> None:
        self._pool = pool
        self._origin = Origin.of(url)
        self._limits = limits
        self._clock = clock
        self._observe = observe

    def serves(self, call: Call) -> bool:
        return True

    def open(self, call: Call, *, insist: bool = False) -> Reply:
        request = UpstreamRequest(self._origin, call.method, call.target, header_rules.to_upstream(call.headers), call.body)
        notes: dict[Fault, str] = {}  # what the Plan was asked once more for: each of them at most once
        while True:
            try:
                reply = self._ask(call, request)
                return replace(reply, notes=tuple(notes.values())) if notes else reply
            except UpstreamError as error:
                again = None if error.fault in notes else self._once_more(call, request, error)
                if again is None:
                    error.notes = tuple(notes.values())
                    raise
                notes[error.fault] = _ASKED_AGAIN[error.fault]
                request = again

    def _once_more(self, call: Call, request: UpstreamRequest, refused: UpstreamError) -> UpstreamRequest | None:
        """What to ask once more after a refusal, having waited as it wished; None when asking again is not allowed."""
        if not isinstance(refused, _Refused) or call.endpoint is not Endpoint.MESSAGES:
            return None
        pause_s = refused.verdict.retry_after_s
        if refused.fault is Fault.PLAN_THROTTLED and pause_s is not None:
            if pause_s > self._limits.patience_s or self._clock() + pause_s >= call.commit_by:
                return None
            call.lifeline.pause(pause_s)
            return request
        if refused.fault is Fault.REJECTED and call.asked.body is not None and names_thinking(refused.body):
            return _without_thinking(request, call.asked)
        return None

    def _ask(self, call: Call, request: UpstreamRequest) -> Reply:
        deadline = self._deadline(call)
        try:
            answer = self._pool.send(request, call.lifeline, deadline)
            self._observe(call.grant.access_key_id, answer.headers)
            return self._committed(call, answer, deadline)
        except Expired:
            raise UpstreamError(Fault.PLAN_TIMEOUT, "no first byte in time") from None
        except ConnectFailed as error:
            raise UpstreamError(Fault.PLAN_UNREACHABLE, str(error)) from error
        except NoAnswer as error:
            fault = Fault.PLAN_UNREACHABLE if error.silent else Fault.PLAN_ERROR
            raise UpstreamError(fault, str(error)) from error
        except BodyBroken as error:
            raise UpstreamError(Fault.PLAN_ERROR, str(error)) from error

    def _deadline(self, call: Call) -> float:
        now = self._clock()
        if call.endpoint in _SMALL:
            return now + self._limits.count_tokens_s
        if call.asked.stream:
            return min(now + self._limits.first_byte_s, call.commit_by)
        return now + self._limits.response_s

    def _committed(self, call: Call, answer: UpstreamAnswer, deadline: float) -> Reply:
        if _may_be_a_fault(answer.status):
            raise self._refusal(call, answer)
        if call.endpoint in _SMALL:
            return self._whole(answer, deadline)
        if call.asked.stream and 200 <= answer.status < 300:
            return self._stream(answer, deadline)
        if call.endpoint is Endpoint.MESSAGES:
            return self._begun(answer, deadline)
        return _reply(answer, self._body(answer, b""))

    def _begun(self, answer: UpstreamAnswer, deadline: float) -> Reply:
        """An answer in one piece commits with the first byte of its body: a head alone can still be replaced."""
        try:
            return _reply(answer, self._body(answer, answer.read(deadline)))
        except BaseException:
            answer.close()
            raise

    def _body(self, answer: UpstreamAnswer, seen: bytes) -> _PlanBody:
        return _PlanBody(answer, seen, self._limits.silence_s, self._clock)

    def _refusal(self, call: Call, answer: UpstreamAnswer) -> UpstreamError:
        """Read the refusal whole, so that it can still be passed on after the next upstream was tried."""
        body, whole = self._read_all(answer, min(self._clock() + _ERROR_BODY_S, call.commit_by))
        headers = {name.lower(): value for name, value in reversed(answer.headers)}
        verdict = judge(answer.status, headers, body)
        reply = replace(_reply(answer, BytesBody(body)), error_type=error_type_of(body), fault=verdict.fault)
        return _Refused(verdict, reply if whole else None, body)

    def _whole(self, answer: UpstreamAnswer, deadline: float) -> Reply:
        """A small answer commits when it is all there, so that one that stalls can still be given by somebody else."""
        body, whole = self._read_all(answer, deadline)
        if not whole:
            raise UpstreamError(Fault.PLAN_ERROR, "the answer was not completed in time")
        return _reply(answer, BytesBody(body))

    def _read_all(self, answer: UpstreamAnswer, deadline: float) -> tuple[bytes, bool]:
        """The body, and whether it is all there: a refusal that stalls is judged by its head, but not passed on."""
        pieces: list[bytes] = []
        try:
            while chunk := answer.read(deadline):
                pieces.append(chunk)
                if sum(map(len, pieces)) > _ERROR_BODY_BYTES:
                    return b"".join(pieces), False
        except (BodyBroken, Expired):
            return b"".join(pieces), False
        finally:
            answer.close()
        return b"".join(pieces), True

    def _stream(self, answer: UpstreamAnswer, deadline: float) -> Reply:
        """Hold a 2xx until its first event is in hand."""
        try:
            seen, first = self._until_first_event(answer, deadline)
        except BaseException:
            answer.close()
            raise
        if first is not None and first.name == "error":
            rest, _ = self._read_all(answer, self._clock() + _AFTER_ERROR_S)
            refusal = replace(_reply(answer, BytesBody(seen + rest)), streamed=True)
            raise UpstreamError(fault_of_error_event(first.data), "the stream began with an error", answer=refusal)
        return replace(_reply(answer, self._body(answer, seen)), streamed=True)

    def _until_first_event(self, answer: UpstreamAnswer, deadline: float) -> tuple[bytes, FirstEvent | None]:
        encoded = answer.header("content-encoding") not in ("", "identity")
        seen = b""
        while chunk := answer.read(deadline):
            seen += chunk
            if encoded:  # we asked for identity; what cannot be read is committed by its first byte
                return seen, None
            try:
                event = first_event(seen)
            except NotSse as error:
                raise UpstreamError(Fault.PLAN_ERROR, "the stream is not an event stream") from error
            if event is not None:
                return seen, event
        raise UpstreamError(Fault.PLAN_ERROR, "the stream ended before its first event")


class _Refused(UpstreamError):
    """The Plan answered with a refusal; `body` is its text, `answer` the same ready to be passed on."""

    def __init__(self, verdict: Verdict, answer: Reply | None, body: bytes) -> None:
        fault = verdict.fault or Fault.REJECTED
        super().__init__(fault, answer=answer, open_until=verdict.open_until, whole_account=verdict.whole_account)
        self.verdict = verdict
        self.body = body


_ASKED_AGAIN = {Fault.PLAN_THROTTLED: "plan:asked again after a throttle", Fault.REJECTED: "plan:thinking stripped"}


def _without_thinking(request: UpstreamRequest, asked: Asked) -> UpstreamRequest | None:
    """None when there is nothing to strip: the same request would be refused again."""
    body = asked.body or {}
    with asked.turns() as rest:
        stripped = strip_thinking(body)
        if stripped is body:
            return None
        rest()
        try:
            return replace(request, body=serialise(stripped, rest))
        except RecursionError:
            return None


def _may_be_a_fault(status: int) -> bool:
    """Everything but success, redirects (never followed) and plain client errors, which pass as they come."""
    return status in (400, 401, 402, 403, 408, 429) or status >= 500


def _reply(answer: UpstreamAnswer, body: BytesBody | _PlanBody) -> Reply:
    return Reply(
        status=answer.status,
        reason=answer.reason,
        headers=header_rules.to_client(answer.headers),
        body=body,
        provider=ProviderName.PLAN,
        fault=None if 200 <= answer.status < 300 else Fault.REJECTED,
    )


class _PlanBody:
    """The answer's bytes as they arrive, `seen` ones first. See `proxy_app.call.Body`."""

    __slots__ = ("_answer", "_clock", "_seen", "_silence_s")

    def __init__(self, answer: UpstreamAnswer, seen: bytes, silence_s: float, clock: Callable[[], float]) -> None:
        self._answer = answer
        self._seen = seen
        self._silence_s = silence_s
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        if self._seen:
            yield self._seen
        try:
            yield from self._answer.chunks(self._silence_s, self._clock)
        except Expired:
            raise StreamBroken(Fault.STREAM_BROKEN, "the Plan fell silent") from None
        except BodyBroken as error:
            raise StreamBroken(Fault.STREAM_BROKEN, str(error)) from error
        except Severed:
            raise StreamBroken(Fault.CLIENT_GONE, "severed") from None

    def close(self) -> None:
        self._answer.close()
