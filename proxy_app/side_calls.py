"""The calls beside messages: count_tokens, models, and everything else that goes to the Plan as it is.

Circuits neither apply to them nor hear of them (SPEC section 3). Invariant: count_tokens and models answer whatever happens
to the Plan; for a `bedrock_only` grant nothing at all is sent there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeGuard
from urllib.parse import parse_qs, unquote

import orjson

from core.types import BedrockKey, Confidence, ProviderName, Residency, Strategy
from proxy_app.bedrock.capabilities import Capabilities
from proxy_app.bedrock.estimate import count_tokens_body, estimate_input_tokens
from proxy_app.bedrock.models import ModelCatalogue, Models, path_segment
from proxy_app.bedrock.repair import CannotServe
from proxy_app.call import BytesBody, Call, Headers, Outcome, Reply
from proxy_app.errors import Refused, error_reply
from proxy_app.faults import Fault, UpstreamError
from proxy_app.gateway import Opened
from proxy_app.providers.bedrock_wire import BedrockEndpoint, read_whole
from proxy_app.providers.plan import PlanProvider
from proxy_app.upstream_http import BodyBroken, ConnectFailed, NoAnswer
from proxy_app.upstream_socket import Expired, Severed


class SideCalls:
    """One method a kind of call, each from `Call` to `Opened`, as the gateway's `open`."""

    def __init__(
        self,
        plan: PlanProvider,
        bedrock: BedrockEndpoint,
        models: Models,
        clock: Callable[[], float],
        timeout_s: float,
        count_region: str = "",
    ) -> None:
        """`count_region`: where tokens are counted for keys of a region that cannot; empty: nowhere else."""
        self._plan = plan
        self._bedrock = bedrock
        self._models = models
        self._clock = clock
        self._timeout_s = timeout_s
        self._count_region = count_region

    def count_tokens(self, call: Call) -> Opened:
        """The Plan's count, else Bedrock's, else an estimate that says so."""
        trace: list[str] = []
        try:
            opened = self._from_plan(call, trace)
            if _serves(opened):
                return opened
            counted = self._count_on_bedrock(call, trace)
        except Severed:
            return _cut(call)
        _drop(opened)
        if counted is not None:
            return _opened(call, {"input_tokens": counted}, ProviderName.BEDROCK, trace)
        if call.asked.body is None:
            return _refused(call, Refused(400, "invalid_request_error", "the request body is not a JSON object"), trace)
        trace.append("estimated")
        body = call.asked.body
        with call.asked.turns() as rest:
            estimate = {"input_tokens": estimate_input_tokens(body, rest)}
        estimated = _opened(call, estimate, None, trace, (("x-proxy-estimated", "true"),))
        estimated.outcome.confidence = Confidence.ESTIMATED
        return estimated

    def models(self, call: Call) -> Opened:
        """The Plan's list, else what this grant can reach on Bedrock, in Anthropic's shape."""
        trace: list[str] = []
        try:
            opened = self._from_plan(call, trace)
        except Severed:
            return _cut(call)
        if _serves(opened):
            return opened
        models = self._models.current()
        rows = _reachable(call, models)
        if not rows and call.grant.strategy is not Strategy.BEDROCK_ONLY:
            return opened or _refused(call, _PLAN_AWAY, trace)  # an empty list would say that there are no models
        _drop(opened)
        path, _, query = call.target.partition("?")
        if path == "/v1/models":
            return _opened(call, _page(rows, query), ProviderName.BEDROCK, trace)
        wanted = unquote(path.removeprefix("/v1/models/"))
        found = next((row for row in rows if row["id"] in (wanted, models.canonical(wanted))), None)
        if found is None:
            return _refused(call, Refused(404, "not_found_error", "there is no such model"), trace)
        return _opened(call, found, ProviderName.BEDROCK, trace)

    def pass_through(self, call: Call) -> Opened:
        """Any other path: the Plan, untouched, no fallback."""
        if call.grant.strategy is Strategy.BEDROCK_ONLY:
            return _refused(
                call, Refused(404, "not_found_error", "this access key uses Bedrock only, which has no such path"), []
            )
        trace: list[str] = []
        try:
            return self._ask_plan(call, trace) or _refused(call, _PLAN_AWAY, trace)
        except Severed:
            return _cut(call)

    def _from_plan(self, call: Call, trace: list[str]) -> Opened | None:
        """What the Plan answers, good or bad; None when it is skipped or gave no answer."""
        return None if call.grant.strategy is Strategy.BEDROCK_ONLY else self._ask_plan(call, trace)

    def _ask_plan(self, call: Call, trace: list[str]) -> Opened | None:
        outcome = Outcome(trace=trace)
        began = self._clock()
        try:
            reply = self._plan.open(call)
        except UpstreamError as error:
            trace.append(f"plan:{error.fault}")
            if error.answer is None:
                return None
            reply = error.answer
        else:
            trace.append(f"plan:{reply.status}")
        outcome.upstream_wait = self._clock() - began
        outcome.provider = reply.provider
        outcome.status = reply.status
        outcome.fault = reply.fault
        outcome.error_type = reply.error_type
        return Opened(reply, outcome)

    def _count_on_bedrock(self, call: Call, trace: list[str]) -> int | None:
        if call.asked.body is None:
            return None
        deadline, models = self._clock() + self._timeout_s, self._models.current()
        for key in _bedrock_keys(call):
            region = self._counting_region(models, key)
            model_id = models.count_tokens_model(call.asked.model, region, key)
            if model_id is None:
                continue
            payload_for = models.capabilities(call.asked.model, key)
            try:
                return self._ask_bedrock(call, replace(key, region=region), model_id, payload_for, deadline)
            except _NOT_COUNTED as error:
                trace.append(f"bedrock:count failed({type(error).__name__})")
        return None

    def _counting_region(self, models: ModelCatalogue, key: BedrockKey) -> str:
        """The key's own, unless it cannot count, the operator named another, and what is counted may leave its geography.

        A key that was made for some hours is good in its own region only.
        """
        bound = key.residency is Residency.GEO or key.secret.startswith(_SHORT_TERM)
        if not self._count_region or bound or not models.may_count_elsewhere(key.region):
            return key.region
        return self._count_region

    def _ask_bedrock(self, call: Call, key: BedrockKey, model_id: str, able: Capabilities, deadline: float) -> int:
        """Raises one of _NOT_COUNTED when Bedrock gives no count."""
        body = call.asked.body or {}
        with call.asked.turns() as rest:
            payload = count_tokens_body(body, able, rest)
        answer = self._bedrock.post(key, f"/model/{path_segment(model_id)}/count-tokens", payload, call.lifeline, deadline)
        try:
            text = read_whole(answer, deadline)
        finally:
            answer.close()
        parsed = orjson.loads(text) if answer.status == 200 else None
        counted = parsed.get("inputTokens") if isinstance(parsed, dict) else None
        if not isinstance(counted, int):
            raise ValueError(f"HTTP {answer.status}")
        return counted


_PLAN_AWAY = Refused(529, "overloaded_error", "the Plan cannot be reached; try again shortly")
_RESTARTING = Refused(529, "overloaded_error", "this server is restarting; try again", close=True, retry_after_s=1)
_NOT_COUNTED = (ConnectFailed, NoAnswer, Expired, BodyBroken, CannotServe, ValueError, RecursionError)
_DEFAULT_PAGE, _LARGEST_PAGE = 20, 1000
_SHORT_TERM = "bedrock-api-key-"


def _serves(opened: Opened | None) -> TypeGuard[Opened]:
    """Whether the Plan answered, be it with a refusal; its own trouble (overload, limits, silence) is no answer."""
    return opened is not None and opened.reply.status < 500 and opened.reply.status not in (402, 408, 429)


def _drop(opened: Opened | None) -> None:
    if opened is not None:
        opened.reply.body.close()


def _bedrock_keys(call: Call) -> tuple[BedrockKey, ...]:
    return () if call.grant.strategy is Strategy.PLAN_ONLY else call.grant.usable_bedrock_keys


def _reachable(call: Call, models: ModelCatalogue) -> list[dict[str, str]]:
    names: dict[str, str] = {}
    for key in _bedrock_keys(call):
        names.update(models.served_by(key.region, key.residency, key.id))
    return [
        {"type": "model", "id": model, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
        for model, name in names.items()
    ]


def _page(rows: list[dict[str, str]], query: str) -> dict[str, Any]:
    """Anthropic's paging: `limit`, and `after_id` or `before_id`."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    places = {row["id"]: place for place, row in enumerate(rows)}
    limit = int(asked["limit"]) if re.fullmatch(r"\d{1,4}", asked.get("limit", "")) else _DEFAULT_PAGE
    limit = min(max(limit, 1), _LARGEST_PAGE)
    if asked.get("before_id") in places:
        end = places[asked["before_id"]]
        start = max(0, end - limit)
        more = start > 0
    else:
        start = places.get(asked.get("after_id", ""), -1) + 1
        end = min(start + limit, len(rows))
        more = end < len(rows)
    shown = rows[start:end]
    ids = [row["id"] for row in shown]
    return {"data": shown, "has_more": more, "first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}


def _opened(
    call: Call, content: Mapping[str, Any], provider: ProviderName | None, trace: list[str], extra: Headers = ()
) -> Opened:
    body = orjson.dumps(content)
    headers = (("content-type", "application/json"), ("content-length", str(len(body))), ("request-id", call.request_id), *extra)
    return Opened(Reply(200, headers, BytesBody(body), provider), Outcome(provider=provider, status=200, trace=trace))


def _cut(call: Call) -> Opened:
    """The client has gone, or this server is about to end."""
    if not call.lifeline.gone:
        return _refused(call, _RESTARTING, [])
    opened = _refused(call, Refused(499, "client_gone", "the client has gone", close=True), [])
    opened.outcome.fault = Fault.CLIENT_GONE
    return opened


def _refused(call: Call, refused: Refused, trace: list[str]) -> Opened:
    outcome = Outcome(status=refused.status, error_type=refused.error_type, trace=trace)
    return Opened(error_reply(refused, call.request_id), outcome)
