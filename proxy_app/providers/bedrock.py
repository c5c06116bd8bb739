"""The Bedrock upstream: the same request, repaired for InvokeModel, answered in Anthropic's wire.

Tries the user's Bedrock keys and, for each, the model ids that region and residency allow, in order, until one commits or a
fault says that another try would be useless or would be paid twice. The translation itself is in `proxy_app.bedrock`, pure;
here is the I/O and the order. Bedrock's own 401 and 403 never get past this file: Claude Code would drop its login.
Circuits choose among keys and ids; when they close every one, `NotAsked` says so, unless the caller insists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.types import BedrockKey, ProviderName
from proxy_app.bedrock.errors import BedrockFault, Kind, fault_of, from_http
from proxy_app.bedrock.learned import Learned, corrective
from proxy_app.bedrock.models import ModelCatalogue, path_segment
from proxy_app.bedrock.repair import CannotServe, Repaired, repair, serialise
from proxy_app.bedrock.wire import StreamTranslator, WireError, as_message
from proxy_app.call import BytesBody, Call, Endpoint, Reply
from proxy_app.circuits import CircuitName, Circuits, Pass, Refused
from proxy_app.errors import upstream_error_reply
from proxy_app.faults import Fault, NotAsked, UpstreamError
from proxy_app.json_body import Turns
from proxy_app.providers.bedrock_wire import BedrockBody, BedrockEndpoint, BedrockLimits, begin, read_whole
from proxy_app.upstream_http import BodyBroken, ConnectFailed, NoAnswer, UpstreamAnswer
from proxy_app.upstream_socket import Expired

_MAX_BODY_BYTES = 20 * 1000 * 1000
_NEXT_MODEL_ID = frozenset({Kind.THROTTLED, Kind.QUOTA_DAY, Kind.INVALID_IDENTIFIER, Kind.ON_DEMAND, Kind.NOT_ENTITLED})
_NEXT_KEY = _NEXT_MODEL_ID | {
    Kind.AUTH, Kind.OVERLOADED, Kind.INTERNAL, Kind.USE_CASE_FORM, Kind.DATA_RETENTION,
}  # fmt: skip
_FOR_ADMINS = frozenset({Kind.AUTH, Kind.NOT_ENTITLED, Kind.USE_CASE_FORM, Kind.DATA_RETENTION})
_LASTING = frozenset({Kind.INVALID_IDENTIFIER, Kind.ON_DEMAND, Kind.NOT_ENTITLED, Kind.AUTH})
_MOST_REMEMBERED = 10_000
_DAY_S = 86_400.0

_Admit = Callable[[CircuitName], Pass | Refused]
KeyRefused = Callable[[str, BedrockFault, bool], None]


@dataclass(slots=True)
class _Attempt:
    """One call on its way through keys, model ids and corrections."""

    call: Call
    body: Mapping[str, Any]
    betas: tuple[str, ...]
    learned: Learned = field(default_factory=Learned.nothing)
    notes: list[str] = field(default_factory=list)
    last: UpstreamError | None = None


class BedrockProvider:
    """See `proxy_app.providers.Provider`.

    `key_refused(key id, fault, unusable)` hears of what an administrator must mend; it must not block. `unusable`: AWS
    refused the key itself, or all that it was asked for so far.
    """

    name = ProviderName.BEDROCK
    metered = True

    def __init__(
        self,
        endpoint: BedrockEndpoint,
        catalogue: ModelCatalogue,
        circuits: Circuits,
        limits: BedrockLimits,
        clocks: tuple[Callable[[], float], Callable[[], float]],
        key_refused: KeyRefused,
    ) -> None:
        self._endpoint = endpoint
        self._catalogue = catalogue
        self._circuits = circuits
        self._limits = limits
        self._clock, self._wall = clocks
        self._key_refused = key_refused
        self._winners: dict[tuple[str, str], str] = {}
        self._proven: set[str] = set()

    def serves(self, call: Call) -> bool:
        return call.endpoint is Endpoint.MESSAGES and bool(call.grant.usable_bedrock_keys)

    def open(self, call: Call, *, insist: bool = False) -> Reply:
        if call.asked.body is None:
            raise UpstreamError(Fault.REJECTED, "the request body must be a JSON object", wire=(400, "invalid_request_error"))
        attempt = _Attempt(call, call.asked.body, _betas(call))
        try:
            return replace(self._served(attempt, insist), notes=tuple(attempt.notes))
        except UpstreamError as error:
            error.notes = tuple(attempt.notes)
            raise

    def _served(self, attempt: _Attempt, insist: bool) -> Reply:
        reply = self._try_keys(attempt, self._circuits.admit)
        if reply is None and insist and isinstance(attempt.last, NotAsked):
            reply = self._try_keys(attempt, self._circuits.insist)
        if reply is None:
            model = attempt.call.asked.model
            raise attempt.last or UpstreamError(Fault.BEDROCK_UNSUPPORTED, f"Bedrock has no model for {model!r}")
        return reply

    def _try_keys(self, attempt: _Attempt, admit: _Admit) -> Reply | None:
        """None when no key served; `attempt.last` then says why."""
        for key in attempt.call.grant.usable_bedrock_keys:
            reply = self._try_key(attempt, key, admit)
            if reply is not None:
                return replace(reply, bedrock_key_id=key.id)
        return None

    def _try_key(self, attempt: _Attempt, key: BedrockKey, admit: _Admit) -> Reply | None:
        """None when another key may do better; `attempt.last` then says why this one did not."""
        refusals: list[BedrockFault] = []
        for model_id in self._model_ids(attempt.call.asked.model, key):
            if attempt.last is not None and self._clock() >= attempt.call.commit_by:
                raise attempt.last
            admitted = admit(CircuitName(key.id, ProviderName.BEDROCK, f"{key.region}/{model_id}"))
            if isinstance(admitted, Refused):
                attempt.notes.append(f"bedrock:skipped({admitted.reason})")
                attempt.last = attempt.last or NotAsked(admitted.fault or Fault.BEDROCK_THROTTLED, admitted.reason)
                continue
            try:
                reply = self._with_corrections(attempt, key, model_id)
            except BedrockFault as error:
                refusals.append(error)
                self._note(attempt, admitted, model_id, error)
                if not _another_id_may_serve(error, model_id):
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
                self._remember(key, attempt.call.asked.model, model_id, refusals)
                return reply
        self._conclude(attempt, key, refusals)
        return None

    def _note(self, attempt: _Attempt, admitted: Pass, model_id: str, error: BedrockFault) -> None:
        fault = fault_of(error.kind)
        admitted.failed(fault, self._next_midnight() if error.kind is Kind.QUOTA_DAY else None)
        attempt.notes.append(f"bedrock:{error.kind.value}({model_id})")
        answer = upstream_error_reply(error.status, error.error_type, error.message, attempt.call.request_id)
        attempt.last = UpstreamError(fault, error.kind.value, answer=replace(answer, provider=ProviderName.BEDROCK, fault=fault))

    def _conclude(self, attempt: _Attempt, key: BedrockKey, refusals: list[BedrockFault]) -> None:
        """This key did not serve. Tell administrators what they must mend; raise when no other key could change it.

        A 403 about one model does not make a key unusable that was seen serving another.
        """
        if not refusals:
            return
        final = refusals[-1]
        if final.kind in _FOR_ADMINS:
            is_refused = final.kind is Kind.AUTH or (final.kind is Kind.NOT_ENTITLED and key.id not in self._proven)
            self._key_refused(key.id, final, is_refused)
        if final.kind not in _NEXT_KEY and attempt.last is not None:
            raise attempt.last from final

    def _with_corrections(self, attempt: _Attempt, key: BedrockKey, model_id: str) -> Reply:
        """Send; on a 400 that names what it dislikes, drop that and send once more, at most once per class."""
        while True:
            repaired = self._repaired(attempt)
            try:
                return self._invoke(attempt.call, key, model_id, repaired)
            except BedrockFault as error:
                learned = corrective(error, repaired, attempt.learned)
                if learned is None:
                    raise
                attempt.notes.append(f"bedrock:corrected({error.kind.value})")
                attempt.learned = learned

    def _repaired(self, attempt: _Attempt) -> Repaired:
        capabilities = self._catalogue.capabilities(attempt.call.asked.model)
        try:
            with attempt.call.asked.turns() as rest:
                repaired = repair(attempt.body, attempt.betas, capabilities, attempt.learned, rest)
        except CannotServe as error:
            raise UpstreamError(Fault.BEDROCK_UNSUPPORTED, str(error), wire=(400, "invalid_request_error")) from error
        if not attempt.notes:
            attempt.notes.extend(f"bedrock:{note}" for note in repaired.notes[:20])
        return repaired

    def _invoke(self, call: Call, key: BedrockKey, model_id: str, repaired: Repaired) -> Reply:
        payload = _payload(repaired, call.asked.turns)
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
            if answer.status != 200 or ("json" in answer.header("content-type") and call.asked.stream):
                status = 502 if answer.status == 200 else answer.status  # JSON instead of frames: AWS's own mistake, not a 400
                raise from_http(status, _lower(answer), read_whole(answer, deadline))
            if call.asked.stream:
                return self._stream(call, answer, model_id, deadline)
            message = as_message(read_whole(answer, deadline))
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

    def _model_ids(self, model: str, key: BedrockKey) -> tuple[str, ...]:
        """The ids to try, the one that worked last time first."""
        ids = self._catalogue.candidates(model, key.region, key.residency)
        winner = self._winners.get((key.id, model))
        return (winner, *(each for each in ids if each != winner)) if winner in ids else ids

    def _remember(self, key: BedrockKey, model: str, model_id: str, refusals: list[BedrockFault]) -> None:
        """Only what will be the same next time: a throttled profile is the first choice again (`global.` costs less)."""
        if any(refusal.kind in _LASTING for refusal in refusals):
            if len(self._winners) >= _MOST_REMEMBERED:
                self._winners.clear()
            self._winners[(key.id, model)] = model_id
        if len(self._proven) >= _MOST_REMEMBERED:
            self._proven.clear()
        self._proven.add(key.id)


def _payload(repaired: Repaired, turns: Turns) -> bytes:
    try:
        with turns() as rest:
            payload = serialise(repaired.body, rest)
    except RecursionError:
        message = "the request is nested too deeply"
        raise UpstreamError(Fault.BEDROCK_UNSUPPORTED, message, wire=(400, "invalid_request_error")) from None
    if len(payload) > _MAX_BODY_BYTES:
        raise UpstreamError(Fault.BEDROCK_UNSUPPORTED, "over Bedrock's 20 MB", wire=(413, "request_too_large"))
    return payload


def _another_id_may_serve(error: BedrockFault, model_id: str) -> bool:
    """A 403 on a `global.` profile may be the account's policy against leaving the geography: the next id tells."""
    return error.kind in _NEXT_MODEL_ID or (error.kind is Kind.AUTH and model_id.startswith("global."))


def _betas(call: Call) -> tuple[str, ...]:
    lists = (value.split(",") for name, value in call.headers if name == "anthropic-beta")
    return tuple(beta.strip() for betas in lists for beta in betas if beta.strip())


def _lower(answer: UpstreamAnswer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers}
