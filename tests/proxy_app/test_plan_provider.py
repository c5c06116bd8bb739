"""The Plan upstream: when it commits, what it asks once more, and that no connection is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from proxy_app.call import Call, Endpoint, Reply, StreamBroken
from proxy_app.faults import Fault, UpstreamError
from proxy_app.providers.plan import PlanLimits, PlanProvider
from proxy_app.upstream_http import ConnectFailed, NoAnswer
from proxy_app.upstream_socket import Severed
from tests.proxy_app.scripted import END, Clock, Script, ScriptedPool, answer, call, chunk, stream_head

START = b'event: message_start\ndata: {"type":"message_start"}\n\n'
OVERLOADED = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n'
LIMITS = PlanLimits(first_byte_s=90.0, response_s=300.0, silence_s=240.0, count_tokens_s=5.0, patience_s=3.0)
THINKING = {
    "model": "claude-opus-5-5",
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "text", "text": "x"}]},
        {"role": "user", "content": "go"},
    ],
}
SIGNATURE = b'{"type":"error","error":{"type":"invalid_request_error","message":"Invalid `signature` in `thinking` block"}}'


@dataclass
class World:
    clock: Clock = field(default_factory=Clock)
    pool: ScriptedPool = field(init=False)

    def plan(self, *scripts: Script) -> PlanProvider:
        self.pool = ScriptedPool(self.clock, list(scripts))
        return PlanProvider(self.pool, "https://plan.example/base/", LIMITS, self.clock)  # type: ignore[arg-type]

    def open(self, *scripts: Script, **changes: Any) -> Reply:
        return self.plan(*scripts).open(call(self.clock, **changes))

    def fails(self, *scripts: Script, **changes: Any) -> UpstreamError:
        with pytest.raises(UpstreamError) as failed:
            self.open(*scripts, **changes)
        return failed.value


@pytest.fixture
def world() -> World:
    return World()


def pauses(asked: Call) -> list[float]:
    return asked.lifeline.pauses  # type: ignore[attr-defined, no-any-return]


# --- committing


def test_a_stream_commits_with_its_first_event_and_loses_no_byte(world: World) -> None:
    reply = world.open([stream_head(), chunk(START[:9]), chunk(START[9:] + b"event: pi"), chunk(b"ng\n\n"), END])
    assert (reply.status, reply.streamed) == (200, True)
    assert b"".join(reply.body) == START + b"event: ping\n\n"
    assert world.pool.fates == ["given back"]


def test_the_request_goes_to_the_configured_address_as_the_client_sent_it(world: World) -> None:
    headers = (("x-api-key", "k"), ("x-odd", "1"), ("host", "proxy"), ("x-proxy-key", "secret"))
    asked = call(world.clock, headers=headers, stream=False)
    world.plan([answer()]).open(asked)
    [request] = world.pool.requests
    assert (request.origin.host, request.origin.path, request.target) == ("plan.example", "/base", asked.target)
    assert request.body is asked.body
    assert request.headers == (("x-api-key", "k"), ("x-odd", "1"), ("accept-encoding", "identity"))


@pytest.mark.parametrize(
    ("rest", "fault"),
    [
        ([], Fault.PLAN_ERROR),
        ([END], Fault.PLAN_ERROR),
        ([chunk(b"<html>")], Fault.PLAN_ERROR),
        ([chunk(b": comment\n\n"), END], Fault.PLAN_ERROR),
        ([chunk(START[:20]), END], Fault.PLAN_ERROR),
        ([chunk(START[:20]), ConnectionResetError()], Fault.PLAN_ERROR),
        ([89.0, chunk(START[:20]), 2.0, chunk(START[20:])], Fault.PLAN_TIMEOUT),
    ],
)
def test_a_stream_without_a_first_event_has_not_answered(world: World, rest: Script, fault: Fault) -> None:
    error = world.fails([stream_head(), *rest])
    assert (error.fault, error.answer) == (fault, None)
    assert world.pool.fates in (["dropped"], ["given back"])


def test_a_stream_that_begins_with_an_error_is_kept_whole_and_its_connection_is_free(world: World) -> None:
    error = world.fails([stream_head(), chunk(OVERLOADED), 600.0])
    assert error.fault is Fault.PLAN_OVERLOADED
    assert error.answer is not None
    assert b"".join(error.answer.body) == OVERLOADED
    assert world.pool.fates == ["dropped"]
    assert world.clock.now < 1002


def test_an_answer_in_one_piece_commits_with_its_first_body_byte(world: World) -> None:
    reply = world.open([answer(200, b'{"a"', length=8), b":1}\n"], stream=False)
    assert b"".join(reply.body) == b'{"a":1}\n'
    assert world.fails([answer(200, b"", length=8), 301.0], stream=False).fault is Fault.PLAN_TIMEOUT
    assert world.fails([answer(200, b"", length=8)], stream=False).fault is Fault.PLAN_ERROR


def test_an_empty_answer_in_one_piece_is_an_answer(world: World) -> None:
    assert b"".join(world.open([answer(200, b"")], stream=False).body) == b""


@pytest.mark.parametrize("status", [301, 307, 404, 405, 409, 413, 422])
def test_what_is_neither_served_nor_a_fault_is_passed_on_as_rejected(world: World, status: int) -> None:
    reply = world.open([answer(status, b"body", "X-Odd: 1", "set-cookie: a=b")])
    assert (reply.status, reply.fault, reply.streamed) == (status, Fault.REJECTED, False)
    assert reply.headers == (("X-Odd", "1"), ("content-length", "4"))


def test_a_refusal_is_kept_whole(world: World) -> None:
    error = world.fails([answer(503, b"0123456789", length=20), b"0123456789"])
    assert error.answer is not None
    assert (error.fault, b"".join(error.answer.body)) == (Fault.PLAN_ERROR, b"0123456789" * 2)


def test_a_refusal_that_stalls_is_judged_by_its_head_and_not_passed_on(world: World) -> None:
    error = world.fails([answer(529, b"0123456789", length=20), 600.0])
    assert (error.fault, error.answer, world.pool.fates) == (Fault.PLAN_OVERLOADED, None, ["dropped"])
    assert world.clock.now <= 1010


def test_a_refusal_is_not_waited_for_beyond_the_commit(world: World) -> None:
    world.fails([answer(529, b"", length=20), 600.0], commit_by=1002.0)
    assert world.clock.now <= 1002


@pytest.mark.parametrize(
    ("raised", "fault"),
    [
        (ConnectFailed("refused"), Fault.PLAN_UNREACHABLE),
        (NoAnswer("eof", silent=True), Fault.PLAN_UNREACHABLE),
        (NoAnswer("garbage", silent=False), Fault.PLAN_ERROR),
    ],
)
def test_what_goes_wrong_before_an_answer_has_its_fault(world: World, raised: Exception, fault: Fault) -> None:
    assert world.fails([raised]).fault is fault


def test_a_cut_is_not_a_fault_and_frees_the_connection(world: World) -> None:
    with pytest.raises(Severed):
        world.open([stream_head(), Severed()])
    assert world.pool.fates == ["dropped"]


# --- limits


@pytest.mark.parametrize(
    ("changes", "limit_s"),
    [
        ({"stream": True}, 90.0),
        ({"stream": True, "commit_by": 1030.0}, 30.0),
        ({"stream": False}, 300.0),
        ({"stream": False, "endpoint": Endpoint.COUNT_TOKENS}, 5.0),
        ({"stream": False, "endpoint": Endpoint.MODELS}, 5.0),
        ({"stream": False, "endpoint": Endpoint.PASSTHROUGH}, 300.0),
    ],
)
def test_each_kind_of_call_has_its_limit(world: World, changes: dict[str, Any], limit_s: float) -> None:
    world.open([answer(404)], **changes)
    assert world.pool.deadlines == [1000.0 + limit_s]


def test_silence_in_a_stream_breaks_it(world: World) -> None:
    reply = world.open([stream_head(), chunk(START), 239.0, chunk(START), 241.0])
    body = iter(reply.body)
    assert [next(body), next(body)] == [START, START]
    with pytest.raises(StreamBroken, match="fell silent"):
        next(body)
    reply.body.close()
    assert world.pool.fates == ["dropped"]


@pytest.mark.parametrize("endpoint", [Endpoint.COUNT_TOKENS, Endpoint.MODELS])
def test_a_small_answer_commits_when_it_is_whole(world: World, endpoint: Endpoint) -> None:
    assert b"".join(world.open([answer(200, b"12", length=4), b"34"], endpoint=endpoint, stream=False).body) == b"1234"
    late = world.fails([answer(200, b"12", length=4), 6.0, b"34"], endpoint=endpoint, stream=False)
    assert (late.fault, late.answer, world.pool.fates) == (Fault.PLAN_ERROR, None, ["dropped"])


# --- asking once more


def test_a_throttle_is_waited_for_within_patience_and_asked_once_more(world: World) -> None:
    asked = call(world.clock)
    reply = world.plan([answer(429, b"{}", "retry-after: 3")], [answer(404)]).open(asked)
    assert (reply.status, pauses(asked)) == (404, [3.0])
    assert reply.notes == ("plan:asked again after a throttle",)


@pytest.mark.parametrize(("headers", "commit_by"), [("retry-after: 4", 2000.0), ("retry-after: 3", 1003.0), ("x-a: b", 2000.0)])
def test_a_throttle_that_asks_too_much_is_not_waited_for(world: World, headers: str, commit_by: float) -> None:
    assert world.fails([answer(429, b"{}", headers)], commit_by=commit_by).fault is Fault.PLAN_THROTTLED


def test_only_messages_are_asked_once_more(world: World) -> None:
    for endpoint in (Endpoint.COUNT_TOKENS, Endpoint.MODELS, Endpoint.PASSTHROUGH):
        assert world.fails([answer(429, b"{}", "retry-after: 0")], endpoint=endpoint).fault is Fault.PLAN_THROTTLED


def test_each_reason_to_ask_again_counts_once(world: World) -> None:
    throttle, signature = [answer(429, b"{}", "retry-after: 0")], [answer(400, SIGNATURE)]
    error = world.fails([*throttle], [*signature], [*throttle], body=THINKING)
    assert error.fault is Fault.PLAN_THROTTLED
    assert error.notes == ("plan:asked again after a throttle", "plan:thinking stripped")
    assert [b"signature" in request.body for request in world.pool.requests[2:]] == [False]


def test_a_refused_signature_is_asked_without_thinking(world: World) -> None:
    reply = world.open([answer(400, SIGNATURE)], [stream_head(), chunk(START), END], body=THINKING)
    assert reply.notes == ("plan:thinking stripped",)
    sent = orjson.loads(world.pool.requests[1].body)
    assert [part["type"] for part in sent["messages"][1]["content"]] == ["text"]


def test_a_complaint_about_thinking_that_was_not_sent_is_passed_on(world: World) -> None:
    error = world.fails([answer(400, SIGNATURE)])
    assert (error.fault, error.notes, len(world.pool.requests)) == (Fault.REJECTED, (), 1)
