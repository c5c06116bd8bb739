"""A client that goes takes its upstream connection with it, within a second and in every phase, and is booked as gone."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests import machine
from tests.live.bare import RawClient, request_bytes
from tests.live.leaver import Line, eventually, row_of, rows_of
from tests.live.plain_messages import LOGIN, message

WITHIN_S = 1.0  # SPEC section 7
THROTTLED_S = 8
WAYS = ("fin", "rst", "half")
PROVIDERS = ("plan", "bedrock")
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {
        "PROXY_CIRCUIT_RESET_S": "1",
        "PROXY_FIRST_BYTE_TIMEOUT_S": "20",
        "PROXY_FLUSH_INTERVAL_S": "0.1",
        "PROXY_PLAN_PATIENCE_S": str(THROTTLED_S),
    }


def developer_on(stack: Any, provider: str) -> tuple[Any, Any]:
    """A developer whom this provider serves, and the provider's stand-in."""
    if provider == "plan":
        return stack.developer(bedrock=""), stack.anthropic
    return stack.developer("bedrock_only"), stack.bedrock


def noticed_after(sandbox: Any, left_at: float) -> float:
    """Seconds until the upstream saw its only client leave, without what the machine was held up meanwhile."""
    began = machine.now()
    closed_at = float(eventually(lambda: sandbox.requests()[-1]["closed_by_client_at"]))
    return machine.own(closed_at - left_at, machine.now().held_up - began.held_up)


def arrived(sandbox: Any, count: int = 1) -> None:
    eventually(lambda: len(sandbox.requests()) >= count)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("provider", PROVIDERS)
@STREAMED
def test_who_leaves_while_the_upstream_thinks_stops_it(stack: Any, provider: str, how: str, stream: bool) -> None:
    developer, sandbox = developer_on(stack, provider)
    sandbox.fault("hang")
    with Line(developer.base_url) as line:
        line.ask(stream=stream)
        arrived(sandbox)
        left_at = line.leave(how)
        assert noticed_after(sandbox, left_at) < WITHIN_S
    row = row_of(stack, developer.access_key_id)
    assert (row.fault, row.confidence, row.status, row.output_tokens) == ("client_gone", "partial", 499, 0)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        pytest.param("slow_stream", {"events": 2000, "delay": 0.02}, id="while events flow"),
        pytest.param("silent_midstream", {"after": 4}, id="in silence"),
    ],
)
def test_who_leaves_a_stream_ends_it_upstream_and_pays_what_was_seen(
    stack: Any, provider: str, how: str, fault: str, arguments: dict[str, Any]
) -> None:
    developer, sandbox = developer_on(stack, provider)
    sandbox.fault(fault, **arguments)
    with Line(developer.base_url) as line:
        line.ask().read_head().await_text(b"content_block_delta")
        left_at = line.leave(how)
        assert noticed_after(sandbox, left_at) < WITHIN_S
    row = row_of(stack, developer.access_key_id)
    seen = sandbox.totals()["partial"]
    assert (row.fault, row.confidence, row.status, row.provider) == ("client_gone", "partial", 200, provider)
    assert (row.input_tokens, row.output_tokens) == (seen["input_tokens"], seen["output_tokens"])


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_who_leaves_in_the_middle_of_a_whole_answer_stops_it(stack: Any, provider: str, how: str) -> None:
    developer, sandbox = developer_on(stack, provider)
    sandbox.fault("silent_midstream")
    with Line(developer.base_url) as line:
        line.ask(stream=False)
        arrived(sandbox)
        left_at = line.leave(how)
        assert noticed_after(sandbox, left_at) < WITHIN_S
    row = row_of(stack, developer.access_key_id)
    assert (row.fault, row.confidence) == ("client_gone", "partial")


@STREAMED
def test_who_leaves_while_a_throttle_is_waited_out_is_not_asked_for_again(stack: Any, stream: bool) -> None:
    developer = stack.developer(bedrock="")
    stack.anthropic.fault("throttle", retry_after=str(THROTTLED_S))
    with Line(developer.base_url) as line:
        line.ask(stream=stream)
        arrived(stack.anthropic)
        line.leave("fin")
        row = row_of(stack, developer.access_key_id)
    assert (row.fault, row.confidence, row.total_ms < THROTTLED_S * 1000) == ("client_gone", "partial", True)
    assert len(stack.anthropic.requests()) == 1


def test_who_leaves_during_the_fallback_stops_bedrock(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded")
    stack.bedrock.fault("hang")
    with Line(developer.base_url) as line:
        line.ask()
        arrived(stack.bedrock)
        left_at = line.leave("fin")
        assert noticed_after(stack.bedrock, left_at) < WITHIN_S
    row = row_of(stack, developer.access_key_id)
    assert (row.fault, row.confidence) == ("client_gone", "partial")


def test_who_leaves_a_token_count_is_booked_without_a_crash(stack: Any) -> None:
    developer = stack.developer("bedrock_only")
    stack.bedrock.fault("hang", match={"path": "count-tokens"})
    with Line(developer.base_url) as line:
        line.post(
            "/v1/messages/count_tokens", b'{"model":"claude-sonnet-4-5-20250929","messages":[{"role":"user","content":"x"}]}'
        )
        arrived(stack.bedrock)
        left_at = line.leave("fin")
        assert noticed_after(stack.bedrock, left_at) < WITHIN_S
    row = row_of(stack, developer.access_key_id)
    assert (row.fault, row.status) == ("client_gone", 499)
    assert [each for each in stack.product.logs() if "failed inside the proxy" in each["message"]] == []


@pytest.mark.parametrize("provider", PROVIDERS)
@STREAMED
def test_hang_ups_never_open_a_circuit(stack: Any, provider: str, stream: bool) -> None:
    developer = stack.developer("plan_first" if provider == "plan" else "bedrock_only")
    sandbox = stack.anthropic if provider == "plan" else stack.bedrock
    sandbox.fault("hang", times=4)
    for count in range(1, 5):
        with Line(developer.base_url) as line:
            line.ask(stream=stream)
            arrived(sandbox, count)
            line.leave("rst")
    with Line(developer.base_url) as line:
        line.ask(stream=stream).answer()
    assert (line.status, line.headers["x-proxy-provider"]) == (200, provider)


def test_hang_ups_in_mid_stream_never_open_a_circuit(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("silent_midstream", times=4, after=4)
    for _ in range(4):
        with Line(developer.base_url) as line:
            line.ask().read_head().await_text(b"content_block_delta")
            line.leave("rst")
    eventually(lambda: len(rows_of(stack, developer.access_key_id)) == 4)
    with Line(developer.base_url) as line:
        line.ask().answer()
    assert (line.status, line.headers["x-proxy-provider"]) == (200, "plan")


@STREAMED
def test_a_probe_whose_client_leaves_makes_room_for_the_next(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded", times=3)
    for _ in range(3):
        with Line(developer.base_url) as line:
            line.ask(stream=stream).answer()
    stack.anthropic.fault("hang", times=1)
    stack.anthropic.fault("ok")
    eventually(lambda: _probes(stack, developer, stream, 3), every_s=0.3).close()
    eventually(lambda: len([row for row in rows_of(stack, developer.access_key_id) if row.fault == "client_gone"]) == 1)
    with Line(developer.base_url) as line:
        line.ask(stream=stream).answer()
    assert (line.status, line.headers["x-proxy-provider"]) == (200, "plan")


def _probes(stack: Any, developer: Any, stream: bool, before: int) -> RawClient | None:
    """A client whose request has reached the Plan; None while the circuit keeps it away, and Bedrock answers."""
    client = RawClient(developer.base_url)
    client.send(request_bytes(f"/ak/{developer.access_key}/v1/messages", LOGIN, message(stream)))
    eventually(lambda: client.hears_within(0) or len(stack.anthropic.requests()) > before)
    if len(stack.anthropic.requests()) > before:
        return client
    client.receive()
    client.close()
    return None


def test_a_client_that_sent_more_than_its_request_is_missed_all_the_same(stack: Any) -> None:
    developer = stack.developer(bedrock="")
    stack.anthropic.fault("hang")
    with Line(developer.base_url) as line:
        line.ask()
        arrived(stack.anthropic)
        line.write(b"\r\n")
        eventually(lambda: time.time() > stack.anthropic.requests()[-1]["at"] + 0.3)
        left_at = line.leave("fin")
        assert noticed_after(stack.anthropic, left_at) < WITHIN_S
