"""The calls beside messages: count_tokens, models, and everything else that goes to the Plan as it is.

Circuits neither apply to them nor hear of them (SPEC section 3). Invariant: count_tokens and models answer whatever happens
to the Plan; for a `bedrock_only` grant nothing at all is sent there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from core.types import BedrockKey, Confidence, ProviderName, Strategy
from proxy_app.bedrock.estimate import count_tokens_body, estimate_input_tokens
from proxy_app.bedrock.models import ModelCatalogue, path_segment
from proxy_app.bedrock.repair import CannotServe
from proxy_app.call import BytesBody, Call, Headers, Outcome, Reply
from proxy_app.errors import Refused, error_reply
from proxy_app.faults import UpstreamError
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
        catalogue: ModelCatalogue,
        clock: Callable[[], float],
        timeout_s: float,
    ) -> None:
        self._plan = plan
        self._bedrock = bedrock
        self._catalogue = catalogue
        self._clock = clock
        self._timeout_s = timeout_s

    def count_tokens(self, call: Call) -> Opened:
        """The Plan's count, else Bedrock's, else an estimate that says so."""
        opened = self._from_plan(call)
        if opened is not None:
            return opened
        trace: list[str] = []
        counted = self._count_on_bedrock(call, trace)
        if counted is not None:
            return _opened(call, {"input_tokens": counted}, ProviderName.BEDROCK, trace)
        if call.asked.body is None:
            return _refused(call, Refused(400, "invalid_request_error", "the request body is not a JSON object"))
        trace.append("estimated")
        estimate = {"input_tokens": estimate_input_tokens(call.asked.body)}
        opened = _opened(call, estimate, None, trace, (("x-proxy-estimated", "true"),))
        opened.outcome.confidence = Confidence.ESTIMATED
        return opened

    def models(self, call: Call) -> Opened:
        """The Plan's list, else what this grant can reach on Bedrock, in Anthropic's shape."""
        opened = self._from_plan(call)
        if opened is not None:
            return opened
        rows = self._reachable(call)
        path, _, _ = call.target.partition("?")
        if path == "/v1/models":
            ids = [row["id"] for row in rows]
            listed = {"data": rows, "has_more": False, "first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
            return _opened(call, listed, ProviderName.BEDROCK, [])
        wanted = unquote(path.removeprefix("/v1/models/"))
        found = next((row for row in rows if row["id"] == wanted), None)
        if found is None:
            return _refused(call, Refused(404, "not_found_error", "there is no such model"))
        return _opened(call, found, ProviderName.BEDROCK, [])

    def pass_through(self, call: Call) -> Opened:
        """Any other path: the Plan, untouched, no fallback."""
        if call.grant.strategy is Strategy.BEDROCK_ONLY:
            return _refused(call, Refused(404, "not_found_error", "this access key uses Bedrock only, which has no such path"))
        opened = self._ask_plan(call)
        return opened or _refused(call, Refused(529, "overloaded_error", "the Plan cannot be reached; try again shortly"))

    def _from_plan(self, call: Call) -> Opened | None:
        """The Plan's answer, unless it is skipped or its own trouble (overload, limits, silence) keeps it from answering."""
        if call.grant.strategy is Strategy.BEDROCK_ONLY:
            return None
        opened = self._ask_plan(call)
        if opened is None or opened.reply.status >= 500 or opened.reply.status in (402, 408, 429):
            if opened is not None:
                opened.reply.body.close()
            return None
        return opened

    def _ask_plan(self, call: Call) -> Opened | None:
        outcome = Outcome()
        began = self._clock()
        try:
            reply = self._plan.open(call)
        except UpstreamError as error:
            if error.answer is None:
                return None
            reply = error.answer
        except Severed:
            return _refused(call, Refused(499, "client_gone", "the client has gone", close=True))
        outcome.upstream_wait = self._clock() - began
        outcome.provider = reply.provider
        outcome.status = reply.status
        outcome.fault = reply.fault
        outcome.error_type = reply.error_type
        return Opened(reply, outcome)

    def _count_on_bedrock(self, call: Call, trace: list[str]) -> int | None:
        if call.asked.body is None:
            return None
        for key in call.grant.usable_bedrock_keys:
            model_id = self._catalogue.count_tokens_model(call.asked.model, key.region)
            if model_id is None:
                continue
            try:
                return self._ask_bedrock(call, key, model_id, call.asked.body)
            except (UpstreamError, ConnectFailed, NoAnswer, Expired, BodyBroken, CannotServe, ValueError) as error:
                trace.append(f"bedrock:count failed({type(error).__name__})")
        return None

    def _ask_bedrock(self, call: Call, key: BedrockKey, model_id: str, body: Mapping[str, Any]) -> int:
        """Raises ValueError when Bedrock gives no count."""
        payload = count_tokens_body(body, self._catalogue.capabilities(call.asked.model))
        deadline = self._clock() + self._timeout_s
        answer = self._bedrock.post(key, f"/model/{path_segment(model_id)}/count-tokens", payload, call.lifeline, deadline)
        try:
            text = read_whole(answer, deadline)
        finally:
            answer.close()
        counted = orjson.loads(text).get("inputTokens") if answer.status == 200 else None
        if not isinstance(counted, int):
            raise ValueError(f"HTTP {answer.status}")
        return counted

    def _reachable(self, call: Call) -> list[dict[str, str]]:
        names: dict[str, str] = {}
        for key in call.grant.usable_bedrock_keys:
            names.update(self._catalogue.served_by(key.region, key.residency))
        return [
            {"type": "model", "id": model, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
            for model, name in names.items()
        ]


def _opened(
    call: Call, content: Mapping[str, Any], provider: ProviderName | None, trace: list[str], extra: Headers = ()
) -> Opened:
    body = orjson.dumps(content)
    headers = (("content-type", "application/json"), ("content-length", str(len(body))), ("request-id", call.request_id), *extra)
    return Opened(Reply(200, headers, BytesBody(body), provider), Outcome(provider=provider, status=200, trace=trace))


def _refused(call: Call, refused: Refused) -> Opened:
    return Opened(error_reply(refused, call.request_id), Outcome(status=refused.status, error_type=refused.error_type))
