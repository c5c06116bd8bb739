"""The test of a Bedrock key: what an administrator is told, and when the key counts as refused."""

from __future__ import annotations

import orjson
import pytest

from core.ports import ProbeResult
from core.types import Residency
from proxy_app.probe import InvokeProbe
from proxy_app.providers.bedrock_wire import BedrockEndpoint
from tests.proxy_app.bedrock_world import CATALOGUE, DENIED, EXPIRED, SERVED, THROTTLED, refusal
from tests.proxy_app.scripted import Clock, Script, ScriptedPool, answer

UNKNOWN: Script = [answer(200, orjson.dumps({"Output": {"__type": "x#UnknownOperationException"}}))]


def probed(*scripts: Script) -> ProbeResult:
    clock = Clock()
    pool = ScriptedPool(clock, [list(script) for script in scripts])
    endpoint = BedrockEndpoint(pool, "https://bedrock.{region}.example")  # type: ignore[arg-type]
    return InvokeProbe(endpoint, CATALOGUE, clock).test("us-east-1", "secret", Residency.GLOBAL)


@pytest.mark.parametrize(
    ("scripts", "ok", "refused"),
    [
        pytest.param([SERVED], True, False, id="served"),
        pytest.param([refusal(*THROTTLED)], True, False, id="throttled"),
        pytest.param([refusal(*DENIED), SERVED], True, False, id="another model is allowed"),
        pytest.param([refusal(*EXPIRED), SERVED], True, False, id="only global is refused"),
        pytest.param([refusal(*EXPIRED)] * 2, False, True, id="refused"),
        pytest.param([UNKNOWN], False, False, id="a 200 that answers nothing"),
        pytest.param([refusal(500, "InternalServerException")], False, False, id="trouble"),
    ],
)
def test_only_a_message_proves_a_key_and_only_its_own_refusal_condemns_it(scripts: list[Script], ok: bool, refused: bool) -> None:
    result = probed(*scripts)
    assert (result.ok, result.refused) == (ok, refused)
