"""The Bedrock upstream: the same request, repaired for InvokeModel, answered in Anthropic's wire.

Tries the user's Bedrock keys and, for each, the model ids that region and residency allow, in order, until one commits or a
fault says that another try would be useless or would be paid twice. The translation itself is in `proxy_app.bedrock`, pure;
here is the I/O and the order. Bedrock's own 401 and 403 never get past this file: Claude Code would drop its login.
Circuits choose among keys and ids; when they close every one, `NotAsked` says so, unless the caller insists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from core.types import BedrockKey, ProviderName
from proxy_app.bedrock.errors import BedrockFault, Kind, fault_of, from_http
from proxy_app.bedrock.models import path_segment
from proxy_app.bedrock.wire import StreamTranslator, WireError, as_message
from proxy_app.call import BytesBody, Call, Endpoint, Reply
from proxy_app.circuits import CircuitName, Circuits, Pass, Refused
from proxy_app.errors import upstream_error_reply
from proxy_app.faults import Fault, NotAsked, UpstreamError
from proxy_app.providers.bedrock_attempt import Attempt, Knowledge, Ways, betas_of, ways_through, with_corrections
from proxy_app.providers.bedrock_refusals import (
    KeyRefused,
    Refusal,
    another_id_may_serve,
    another_key_may_serve,
    trouble_of,
)
from proxy_app.providers.bedrock_winners import Winners, may_try
from proxy_app.providers.bedrock_wire import BedrockBody, BedrockEndpoint, BedrockLimits, begin, read_whole
from proxy_app.upstream_http import BodyBroken, ConnectFailed, NoAnswer, UpstreamAnswer
from proxy_app.upstream_socket import Expired

_LONGEST_SHOWN = 120
_DAY_S = 86_400.0

_Admit = Callable[[CircuitName], Pass | Refused]


class BedrockProvider:
    """See `proxy_app.providers.Provider`.

    `key_refused` hears of what an administrator must mend; it must not block.
    """

    name = ProviderName.BEDROCK
    metered = True

    def __init__(
        self,
        endpoint: BedrockEndpoint,
        known: Knowledge,
        circuits: Circuits,
        limits: BedrockLimits,
        clocks: tuple[Callable[[], float], Callable[[], float]],
        key_refused: KeyRefused,
    ) -> None:
        self._endpoint = endpoint
        self._known = known
        self._circuits = circuits
        self._limits = limits
        self._clock, self._wall = clocks
        self._key_refused = key_refused
        self._winners = Winners(self._clock)

    def serves(self, call: Call) -> bool:
        return call.endpoint is Endpoint.MESSAGES and bool(call.grant.usable_bedrock_keys)

    def open(self, call: Call, *, insist: bool = False) -> Reply:
        if call.asked.body is None:
            raise UpstreamError(Fault.REJECTED, "the request body must be a JSON object", wire=(400, "invalid_request_error"))
        attempt = Attempt(call, call.asked.body, betas_of(call), self._known.models.current())
        try:
            return replace(self._served(attempt, insist), notes=tuple(attempt.notes))
        except UpstreamError as error:
            error.notes = tuple(attempt.notes)
            raise

    def _served(self, attempt: Attempt, insist: bool) -> Reply:
        reply = self._try_keys(attempt, self._circuits.admit)
        if reply is None and insist and isinstance(attempt.last, NotAsked):
            reply = self._try_keys(attempt, self._circuits.insist)
        if reply is None:
            raise attempt.last or _no_model(attempt)
        return reply

    def _try_keys(self, attempt: Attempt, admit: _Admit) -> Reply | None:
        """None when no key served; `attempt.last` then says why."""
        for key in attempt.call.grant.usable_bedrock_keys:
            with ways_through(attempt, key, self._known, self._limits.max_tokens) as ways:
                reply = self._try_key(attempt, ways, admit)
            if reply is not None:
                return replace(reply, bedrock_key_id=key.id)
        return None

    def _try_key(self, attempt: Attempt, ways: Ways, admit: _Admit) -> Reply | None:
        """None when another key may do better; `attempt.last` then says why this one did not."""
        refusals: list[Refusal] = []
        key = ways.key
        routes = attempt.models.routes(attempt.call.asked.model, key)
        ordered = self._winners.ordered(key.id, routes)
        for route in ordered:
            if not may_try(route, ordered, refusals):
                break
            model_id = route.id
            if attempt.last is not None and self._clock() >= attempt.call.commit_by:
                raise attempt.last
            admitted = admit(CircuitName(key.id, ProviderName.BEDROCK, f"{key.region}/{model_id}"))
            if isinstance(admitted, Refused):
                attempt.notes.append(f"bedrock:skipped({admitted.reason})")
                attempt.last = attempt.last or NotAsked(admitted.fault or Fault.BEDROCK_THROTTLED, admitted.reason)
                continue
            try:
                invoke = partial(self._invoke, attempt.call, key, model_id)
                reply = with_corrections(attempt, ways.along(route), invoke, self._known.lessons)
            except BedrockFault as error:
                refusals.append(Refusal(model_id, error))
                self._note(attempt, admitted, refusals[-1])
                if not another_id_may_serve(refusals[-1]):
                    break
            except UpstreamError as error:
                admitted.failed(error.fault)
                attempt.last = error
                if error.fault is not Fault.BEDROCK_UNREACHABLE:
                    raise
                break  # another key may be of another region
            except BaseException:
                admitted.neutral()
                raise
            else:
                admitted.succeeded()
                self._winners.remember(key.id, routes, route, refusals)
                if route.instead:
                    attempt.notes.append(f"bedrock:instead({route.instead})")
                return reply
        self._conclude(attempt, key, refusals)
        return None

    def _note(self, attempt: Attempt, admitted: Pass, refusal: Refusal) -> None:
        error, fault = refusal.fault, fault_of(refusal.kind)
        admitted.failed(fault, self._next_midnight() if error.kind is Kind.QUOTA_DAY else None)
        attempt.notes.append(f"bedrock:{error.kind.value}({refusal.model_id})")
        answer = upstream_error_reply(error.status, error.error_type, error.message, attempt.call.request_id)
        answer = replace(answer, headers=(*answer.headers, *error.headers), provider=ProviderName.BEDROCK, fault=fault)
        attempt.last = UpstreamError(fault, error.kind.value, answer=answer)

    def _conclude(self, attempt: Attempt, key: BedrockKey, refusals: list[Refusal]) -> None:
        """This key did not serve. Tell administrators what they must mend; raise when no other key could change it."""
        if not refusals:
            return
        trouble = trouble_of(key.id, refusals)
        if trouble is not None:
            self._key_refused(trouble)
        if not another_key_may_serve(refusals[-1]) and attempt.last is not None:
            raise attempt.last from refusals[-1].fault

    def _invoke(self, call: Call, key: BedrockKey, model_id: str, payload: bytes) -> Reply:
        operation = "invoke-with-response-stream" if call.asked.stream else "invoke"
        deadline = self._deadline(call)
        try:
            target = f"/model/{path_segment(model_id)}/{operation}"
            answer = self._endpoint.post(key, target, payload, call.lifeline, deadline)
            return self._committed(call, answer, model_id, deadline)
        except Expired:
            raise UpstreamError(Fault.BEDROCK_TIMEOUT, "Bedrock sent no first byte in time") from None
        except ConnectFailed as error:
            raise UpstreamError(Fault.BEDROCK_UNREACHABLE, str(error)) from error
        except (NoAnswer, BodyBroken, WireError) as error:
            raise UpstreamError(Fault.BEDROCK_ERROR, str(error)) from error

    def _deadline(self, call: Call) -> float:
        now = self._clock()
        if call.asked.stream:
            return min(now + self._limits.first_byte_s, call.commit_by)
        return now + self._limits.response_s

    def _committed(self, call: Call, answer: UpstreamAnswer, model_id: str, deadline: float) -> Reply:
        try:
            if answer.status != 200:
                raise from_http(answer.status, _lower(answer), read_whole(answer, deadline))
            if call.asked.stream and "json" not in answer.header("content-type"):
                return self._stream(call, answer, model_id, deadline)
            body = read_whole(answer, deadline)
            message = None if call.asked.stream else as_message(body, _lower(answer))
            if message is None:  # a 200 that answers nothing is AWS's own mistake, whatever it says
                raise from_http(502, _lower(answer), body)
            answer.close()
        except BaseException:
            answer.close()
            raise
        headers = (("content-type", "application/json"), ("request-id", call.request_id), ("content-length", str(len(message))))
        return Reply(200, headers, BytesBody(message), ProviderName.BEDROCK, model_served=model_id)

    def _stream(self, call: Call, answer: UpstreamAnswer, model_id: str, deadline: float) -> Reply:
        translator = StreamTranslator()
        begun = begin(answer, translator, deadline)
        headers = (
            ("content-type", "text/event-stream; charset=utf-8"),
            ("cache-control", "no-cache"),
            ("request-id", call.request_id),
        )
        body = BedrockBody(answer, translator, begun, self._limits, self._clock)
        return Reply(200, headers, body, ProviderName.BEDROCK, streamed=True, model_served=model_id)

    def _next_midnight(self) -> float:
        """Unix seconds; Bedrock's daily quotas are given anew at midnight UTC."""
        return (self._wall() // _DAY_S + 1) * _DAY_S


def _no_model(attempt: Attempt) -> UpstreamError:
    """Told as it is, also to the client: another request for this model would fare no better."""
    model, key = attempt.call.asked.model, attempt.call.grant.usable_bedrock_keys[0]
    why = attempt.models.why_unserved(model, key.region, key.residency)
    detail = f"Bedrock has no model for {model[:_LONGEST_SHOWN]!r}: {why}"
    return UpstreamError(Fault.BEDROCK_UNSUPPORTED, detail, wire=(400, "invalid_request_error"))


def _lower(answer: UpstreamAnswer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers}
