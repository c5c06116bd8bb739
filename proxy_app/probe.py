"""A tiny request with a Bedrock key, to see whether AWS takes it. See `core.ports.BedrockProbe`.

Costs a few tokens of the smallest model. Tells apart what an administrator can act on; never shows the key.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from core.model_ids import is_region
from core.ports import ProbeResult
from core.types import BedrockKey, KeyHealth, Residency
from proxy_app.bedrock.errors import BedrockFault, Kind, from_http
from proxy_app.bedrock.models import ModelCatalogue, path_segment
from proxy_app.bedrock.wire import as_message
from proxy_app.providers.bedrock_refusals import Refusal, another_id_may_serve
from proxy_app.providers.bedrock_wire import BedrockEndpoint, read_whole
from proxy_app.upstream_http import BodyBroken, ConnectFailed, NoAnswer
from proxy_app.upstream_socket import Expired

_MODELS = ("claude-haiku-4-5", "claude-haiku-5-5", "claude-sonnet-4-5", "claude-sonnet-5-5")
_TIMEOUT_S = 20.0
_PAYLOAD = orjson.dumps(
    {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
)
_NEXT = frozenset({Kind.INVALID_IDENTIFIER, Kind.ON_DEMAND, Kind.NOT_ENTITLED})


class InvokeProbe:
    """Tries small models in order until one answers or the key itself is refused."""

    def __init__(self, endpoint: BedrockEndpoint, catalogue: ModelCatalogue, clock: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._catalogue = catalogue
        self._clock = clock

    def test(self, region: str, secret: str, residency: Residency) -> ProbeResult:
        if not is_region(region):
            return ProbeResult(False, f"{region!r} is not the name of an AWS region")
        key = BedrockKey("probe", region, residency, KeyHealth.UNKNOWN, secret)
        why = self._catalogue.why_unserved(_MODELS[0], region, residency)
        failed = ProbeResult(False, f"no model of this region can be tried: {why}")
        for model_id in self._candidates(key):
            try:
                return self._ask(key, model_id)
            except BedrockFault as fault:
                reason = f"{fault.kind.value}: {fault.detail[:200]}"
                failed = ProbeResult(False, reason, refused=fault.kind is Kind.AUTH)
                if fault.kind is Kind.THROTTLED:
                    return ProbeResult(True, "accepted, though throttled just now")
                if fault.kind not in _NEXT and not another_id_may_serve(Refusal(model_id, fault)):
                    break
            except (ConnectFailed, NoAnswer, Expired, BodyBroken) as error:
                return ProbeResult(False, f"Bedrock in {region} cannot be reached ({type(error).__name__} {error})".strip())
        return failed

    def _candidates(self, key: BedrockKey) -> list[str]:
        return [each for model in _MODELS for each in self._catalogue.candidates(model, key.region, key.residency)]

    def _ask(self, key: BedrockKey, model_id: str) -> ProbeResult:
        deadline = self._clock() + _TIMEOUT_S
        answer = self._endpoint.post(key, f"/model/{path_segment(model_id)}/invoke", _PAYLOAD, None, deadline)
        try:
            body = read_whole(answer, deadline)
        finally:
            answer.close()
        headers = {name.lower(): value for name, value in answer.headers}
        if answer.status != 200 or as_message(body, headers) is None:  # unknown operations are answered with a 200 too
            raise from_http(answer.status if answer.status != 200 else 502, headers, body)
        return ProbeResult(True, f"{model_id} answered")
