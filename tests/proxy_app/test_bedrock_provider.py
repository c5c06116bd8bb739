"""The Bedrock upstream: which key and id is asked next, what is told to whom, and that no connection is forgotten."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import orjson
import pytest

from core.types import Residency
from proxy_app.call import Endpoint, StreamBroken
from proxy_app.faults import Fault, NotAsked
from proxy_app.upstream_http import ConnectFailed, NoAnswer
from proxy_app.upstream_socket import Severed
from tests.proxy_app.bedrock_world import (
    BODY_OF_20_MB,
    DENIED,
    EU,
    GLOBAL,
    SERVED,
    START,
    THROTTLED,
    US,
    World,
    frame,
    refusal,
    stream,
)
from tests.proxy_app.bedrock_world import world as world
from tests.proxy_app.scripted import KEY, OTHER_KEY, Clock, Script, answer, call

# --- what is sent


def test_nothing_of_the_clients_headers_goes_to_aws(world: World) -> None:
    headers = (("authorization", "Bearer of the plan"), ("x-api-key", "k"), ("x-odd", "1"), ("anthropic-beta", "x-2025-01-01"))
    world.open(SERVED, headers=headers)
    [request] = world.pool.requests
    assert dict(request.headers)["authorization"] == "Bearer secret-1"
    assert {"x-api-key", "x-odd", "anthropic-beta"} & {name for name, _ in request.headers} == set()


@pytest.mark.parametrize(("is_stream", "operation"), [(True, "invoke-with-response-stream"), (False, "invoke")])
def test_the_model_and_the_operation_are_in_the_path(world: World, is_stream: bool, operation: str) -> None:
    world.open(stream(START) if is_stream else SERVED, stream=is_stream)
    assert world.pool.targets == [f"/model/{GLOBAL}/{operation}"]


def test_a_body_over_20_mb_is_not_sent(world: World) -> None:
    error = world.fails(body=BODY_OF_20_MB)
    assert (error.wire, world.pool.requests) == ((413, "request_too_large"), [])


def test_a_body_nested_too_deeply_is_not_sent(world: World) -> None:
    deep: Any = 1
    for _ in range(1010):
        deep = {"a": deep}
    tool = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": deep}]}
    error = world.fails(body={"model": "claude-sonnet-5-5", "max_tokens": 1, "messages": [tool]})
    assert (error.fault, world.pool.requests) == (Fault.BEDROCK_UNSUPPORTED, [])


def test_a_body_that_is_no_json_object_and_a_model_without_an_id_are_not_sent(world: World) -> None:
    assert world.fails(body=None).wire == (400, "invalid_request_error")
    assert world.fails(body={"model": "gpt-4", "messages": []}).fault is Fault.BEDROCK_UNSUPPORTED
    assert world.pool.requests == []


def test_it_serves_messages_of_grants_with_a_usable_key() -> None:
    bedrock, clock = World().bedrock, Clock()
    assert bedrock.serves(call(clock))
    assert not bedrock.serves(call(clock, keys=()))
    assert not bedrock.serves(call(clock, Endpoint.COUNT_TOKENS))


# --- which is asked next


@pytest.mark.parametrize(
    "kind", [THROTTLED, (429, "ThrottlingException", "Too many tokens per day"), (429, "ModelNotReadyException")]
)
def test_a_throttle_tries_the_next_id_then_the_next_key(world: World, kind: Any) -> None:
    reply = world.open(refusal(*kind), refusal(*kind), SERVED, keys=(KEY, OTHER_KEY))
    assert world.asked == [("us-east-1", GLOBAL), ("us-east-1", US), ("eu-west-1", EU)]
    assert (reply.bedrock_key_id, reply.model_served) == (OTHER_KEY.id, EU)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(refusal(503, "ServiceUnavailableException"), id="unavailable"),
        pytest.param(refusal(500, "InternalServerException"), id="internal"),
        pytest.param([ConnectFailed("refused")], id="unreachable"),
        pytest.param(refusal(400, "ServiceQuotaExceededException"), id="quota"),
    ],
)
def test_a_key_whose_region_is_in_trouble_is_followed_by_the_next_key(world: World, script: Script) -> None:
    reply = world.open(script, SERVED, SERVED, keys=(KEY, OTHER_KEY))
    assert reply.status == 200
    assert world.asked[-1] in {("eu-west-1", EU), ("us-east-1", US)}
    assert world.told == []


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        pytest.param(refusal(408, "ModelTimeoutException"), Fault.BEDROCK_TIMEOUT, id="408"),
        pytest.param([301.0], Fault.BEDROCK_TIMEOUT, id="silence"),
        pytest.param([NoAnswer("eof", silent=True)], Fault.BEDROCK_ERROR, id="broken off"),
        pytest.param(refusal(400, "ValidationException", "temperature is wrong"), Fault.BEDROCK_UNSUPPORTED, id="400"),
        pytest.param(refusal(400, "ValidationException", "Input is too long"), Fault.REJECTED, id="too long"),
    ],
)
def test_what_may_have_been_paid_or_is_the_requests_own_fault_is_not_tried_again(
    world: World, script: Script, fault: Fault
) -> None:
    assert world.fails(script, keys=(KEY, OTHER_KEY)).fault is fault
    assert world.asked == [("us-east-1", GLOBAL)]


def test_an_id_that_is_denied_or_unknown_is_tried_once_and_the_winner_remembered(world: World) -> None:
    world.open(refusal(*DENIED), SERVED)
    world.open(SERVED)
    assert [model for _, model in world.asked] == [GLOBAL, US, US]
    assert world.told == []


def test_a_throttled_id_is_the_first_choice_again(world: World) -> None:
    world.open(refusal(*THROTTLED), SERVED)
    world.open(SERVED)
    assert [model for _, model in world.asked] == [GLOBAL, US, GLOBAL]


def test_residency_holds_for_every_try(world: World) -> None:
    error = world.fails(refusal(*THROTTLED), keys=(replace(KEY, residency=Residency.GEO),))
    assert (error.fault, [model for _, model in world.asked]) == (Fault.BEDROCK_THROTTLED, [US])


def test_no_further_try_begins_when_the_time_is_up(world: World) -> None:
    error = world.fails([1.0, *refusal(*THROTTLED)], SERVED, stream=True, commit_by=1001.0)
    assert (error.fault, world.asked) == (Fault.BEDROCK_THROTTLED, [("us-east-1", GLOBAL)])


# --- circuits


def test_three_failures_close_one_id_and_leave_the_others_open(world: World) -> None:
    for _ in range(3):
        world.fails(refusal(503, "ServiceUnavailableException"))
    assert (world.is_closed_to(GLOBAL), world.is_closed_to(US)) == (True, False)


def test_a_daily_quota_closes_until_midnight_utc(world: World) -> None:
    world.open(refusal(429, "ThrottlingException", "Too many tokens per day"), SERVED)
    world.clock.now += 12 * 3600 - 1
    assert world.is_closed_to(GLOBAL)
    world.clock.now += 1
    assert not world.is_closed_to(GLOBAL)


def test_with_every_way_closed_nothing_is_asked_unless_the_caller_insists(world: World) -> None:
    for _ in range(3):
        world.fails(refusal(*THROTTLED), refusal(*THROTTLED))
    error = world.fails()
    assert isinstance(error, NotAsked)
    assert [note.partition("(")[0] for note in error.notes] == ["bedrock:skipped"] * 2
    assert world.open(SERVED, insist=True).status == 200


def test_who_insists_still_prefers_what_is_open(world: World) -> None:
    for _ in range(3):
        world.open(refusal(*THROTTLED), SERVED)
    world.open(SERVED, insist=True)
    assert world.asked[-1] == ("us-east-1", US)


def test_a_cut_gives_the_probe_back(world: World) -> None:
    for _ in range(3):
        world.open(refusal(*THROTTLED), SERVED)
    world.clock.now += 61
    with pytest.raises(Severed):
        world.open([answer(200, b"{", length=9), Severed()])
    assert not world.is_closed_to(GLOBAL)


def test_what_was_tried_is_noted_on_success_and_on_failure(world: World) -> None:
    assert world.open(refusal(*THROTTLED), SERVED).notes == (f"bedrock:throttled({GLOBAL})",)
    assert world.fails(refusal(*THROTTLED), refusal(*THROTTLED)).notes[-1] == f"bedrock:throttled({US})"


# --- streams


def test_a_stream_commits_with_its_first_event(world: World) -> None:
    reply = world.open(stream(START[:30], 1.0, START[30:]), stream=True)
    assert (reply.status, reply.streamed) == (200, True)
    assert next(iter(reply.body)).startswith(b"event: message_start\n")
    reply.body.close()
    assert world.pool.fates == ["dropped"]


@pytest.mark.parametrize("steps", [(), (START[:30],), (START[:30], ConnectionResetError())])
def test_a_stream_that_ends_before_its_first_event_is_an_error(world: World, steps: Any) -> None:
    assert world.fails(stream(*steps), stream=True).fault is Fault.BEDROCK_ERROR
    assert world.pool.fates == ["dropped"]


def test_a_long_silence_is_pinged_over_and_a_longer_one_breaks_the_stream(world: World) -> None:
    body = iter(world.open(stream(START, 500.0), stream=True).body)
    next(body)
    pings = [next(body) for _ in range(15)]
    assert {ping.split(b"\n")[0] for ping in pings} == {b"event: ping"}
    with pytest.raises(StreamBroken, match="fell silent"):
        next(body)
    assert world.clock.now == pytest.approx(1240.0)


@pytest.mark.parametrize(
    ("changes", "limit_s"), [({"stream": True}, 120.0), ({"stream": True, "commit_by": 1030.0}, 30.0), ({"stream": False}, 300.0)]
)
def test_each_kind_of_call_has_its_limit(world: World, changes: dict[str, Any], limit_s: float) -> None:
    world.fails(refusal(400, "ValidationException"), **changes)
    assert world.pool.deadlines == [1000.0 + limit_s]


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_refusal_that_is_json_in_a_200_is_a_refusal(world: World, is_stream: bool) -> None:
    unknown = orjson.dumps({"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"})
    error = world.fails([answer(200, unknown, "content-type: application/json")], stream=is_stream)
    assert (error.fault, error.answer is not None) == (Fault.BEDROCK_ERROR, True)


def test_an_answer_that_is_not_streamed_gets_the_counts_that_only_its_headers_have(world: World) -> None:
    message = orjson.dumps({"type": "message", "content": [], "usage": {"output_tokens": 2}})
    reply = world.open([answer(200, message, "X-Amzn-Bedrock-Input-Token-Count: 7")])
    assert orjson.loads(b"".join(reply.body))["usage"] == {"input_tokens": 7, "output_tokens": 2}


def test_no_ping_comes_while_events_flow_and_one_after_each_silence_that_the_client_hears(world: World) -> None:
    delta = frame({"type": "content_block_delta", "index": 0})
    flowing = [step for _ in range(5) for step in (14.0, delta)]
    halves = [14.0, delta[:9], 14.0, delta[9:]]  # bytes arrive, yet no event is whole: the client hears nothing
    body = world.open(stream(START, *flowing, *halves), stream=True).body
    told: list[bytes] = []
    with pytest.raises(StreamBroken):
        told.extend(body)
    names = re.findall(r"event: (\w+)", b"".join(told).decode())
    assert names == ["message_start", "ping", *["content_block_delta"] * 5, "ping", "content_block_delta"]
