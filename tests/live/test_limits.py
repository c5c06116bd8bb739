"""How long each thing may take (SPEC section 3 and the rows about time in section 4), with every limit lowered.

A lower bound on the seconds says that the limit is not shorter than set; the upper one leaves a busy machine seconds of room
and is still far below the limit that would act in its place.
"""

from __future__ import annotations

import http.client
import itertools
import threading
from typing import Any

import pytest

from tests import machine
from tests.live.asking import ask, await_true, calmed, line_of, trace_of

FIRST_BYTE_S, RESPONSE_S, SILENCE_S, COMMIT_S, BEDROCK_S = 2.0, 3.0, 2.0, 4.0, 60.0
ROOM_S = 6.0
STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {
        "PROXY_FIRST_BYTE_TIMEOUT_S": str(FIRST_BYTE_S),
        "PROXY_BEDROCK_FIRST_BYTE_TIMEOUT_S": str(BEDROCK_S),
        "PROXY_RESPONSE_TIMEOUT_S": str(RESPONSE_S),
        "PROXY_SILENCE_TIMEOUT_S": str(SILENCE_S),
        "PROXY_COMMIT_TIMEOUT_S": str(COMMIT_S),
        "PROXY_PING_INTERVAL_S": "0.5",
    }


@pytest.fixture
def stack(stack: Any) -> Any:
    return calmed(stack)


def _took(answer: Any, at_least_s: float) -> bool:
    return bool(at_least_s <= answer.seconds < at_least_s + ROOM_S)


@pytest.mark.parametrize("fault", ["hang", "headers_then_hang"])
def test_a_stream_without_a_first_event_in_time_falls_back(stack: Any, fault: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault)
    answer = ask(developer)
    assert answer.came_from_bedrock("plan_timeout")
    assert _took(answer, FIRST_BYTE_S)
    await_true(lambda: stack.plan_posts()[0]["closed_by_client_at"])


@pytest.mark.parametrize("fault", ["hang", "headers_then_hang"])
def test_an_answer_in_one_piece_that_does_not_come_is_a_504_and_is_not_paid_for_again(stack: Any, fault: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault)
    answer = ask(developer, stream=False)
    assert (answer.status, answer.error_type, answer.provider) == (504, "timeout_error", "")
    assert answer.json["error"]["message"].startswith("claude-code-proxy: ")
    assert _took(answer, RESPONSE_S)
    assert stack.bedrock_posts() == []
    assert line_of(stack, answer)["fault"] == "plan_timeout"


@STREAMS
def test_a_plan_that_answers_just_in_time_is_not_cut(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("slow_first_byte", s=FIRST_BYTE_S / 2)
    assert ask(developer, stream=stream).came_from_plan


def test_a_stream_that_keeps_sending_outlives_every_limit(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("slow_stream", delay=SILENCE_S / 8, events=24)
    answer = ask(developer)
    assert answer.seconds > max(FIRST_BYTE_S, RESPONSE_S, SILENCE_S, COMMIT_S)
    assert (answer.provider, answer.events[-1][0]) == ("plan", "message_stop")


def test_a_plan_that_falls_silent_is_ended_with_one_error_event(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("silent_midstream", after=5)
    answer = ask(developer)
    names = [name for name, _ in answer.events]
    assert (answer.status, names[-1], names.count("error")) == (200, "error", 1)
    error = answer.events[-1][1]
    assert (error["type"], error["error"]["type"], error["request_id"]) == ("error", "overloaded_error", answer.request_id)
    assert error["error"]["message"].startswith("claude-code-proxy: ")
    assert _took(answer, SILENCE_S)
    assert line_of(stack, answer)["fault"] == "stream_broken"
    await_true(lambda: stack.plan_posts()[0]["closed_by_client_at"])


def test_a_bedrock_that_falls_silent_is_pinged_over_and_then_ended_with_one_error_event(stack: Any) -> None:
    developer = stack.developer("bedrock_only")
    stack.bedrock.fault("silent_midstream", after=5)
    answer = ask(developer)
    names = [name for name, _ in answer.events]
    assert (names[-1], names.count("error")) == ("error", 1)
    assert names[-3:-1] == ["ping", "ping"]
    assert _took(answer, SILENCE_S)


def test_a_whole_answer_that_stops_half_way_is_cut_and_not_passed_off_as_complete(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("silent_midstream")
    with pytest.raises(http.client.IncompleteRead):
        ask(developer, stream=False)


def test_the_commit_limit_covers_all_attempts(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("hang")
    stack.bedrock.fault("hang")
    answer = ask(developer)
    assert (answer.status, answer.error_type) == (529, "overloaded_error")
    assert answer.json["request_id"] == answer.headers["request-id"] == answer.request_id
    assert _took(answer, COMMIT_S)
    reasons = trace_of(stack, answer)
    assert [each.split()[0] for each in reasons if ":" in each][:2] == ["plan:plan_timeout", "bedrock:bedrock_timeout"]
    await_true(lambda: stack.bedrock_posts()[0]["closed_by_client_at"])


@STREAMS
def test_a_bedrock_that_hangs_is_not_asked_a_second_time(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only")
    stack.bedrock.fault("hang")
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.error_type) == (504, "timeout_error")
    assert _took(answer, COMMIT_S if stream else RESPONSE_S)
    assert len(stack.bedrock_posts()) == 1


def test_a_slow_head_counts_until_its_end(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("dribbled_headers", delay=1)
    answer = ask(developer)
    assert answer.came_from_bedrock("plan_timeout")
    assert _took(answer, FIRST_BYTE_S)


def _own_seconds(developer: Any) -> float:
    """Of one answer, without what the machine was held up."""
    began = machine.now()
    ask(developer)
    return machine.now().since(began)


def test_waiting_for_one_developer_costs_the_others_nothing(stack: Any) -> None:
    """A worker that blocks for one upstream would stand still for everybody."""
    stuck, fine = stack.developer(), stack.developer()
    stack.anthropic.fault("hang", match={"credential": "sk-ant-stuck"})
    assert ask(fine).came_from_plan
    waiting = threading.Thread(target=lambda: ask(stuck, credential="sk-ant-stuck"))
    waiting.start()
    quick = list(itertools.takewhile(lambda _: waiting.is_alive(), (_own_seconds(fine) for _ in range(50))))
    waiting.join()
    assert max(quick) < FIRST_BYTE_S
