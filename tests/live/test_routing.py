"""Who answers, by what the Plan does (SPEC section 4, the table): every row, streamed and not, through the running product.

The rows about time are in test_limits.py, what circuits do after that in test_circuits_live.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.client import RecordedAnswer
from tests.live.asking import OPUS, ask, calmed, line_of, trace_of, was_skipped

STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])

OPENS_ALL = [
    pytest.param("plan_exhausted", {"claim": "five_hour"}, "plan_exhausted", id="five_hour"),
    pytest.param("plan_exhausted", {"claim": "seven_day"}, "plan_exhausted", id="seven_day"),
    pytest.param("plan_exhausted", {"claim": "none"}, "plan_exhausted", id="no claim"),
]
COUNTS = [
    pytest.param("throttle", {}, "plan_throttled", id="throttle"),
    pytest.param("overloaded", {}, "plan_overloaded", id="529"),
    pytest.param("error_500", {}, "plan_error", id="500"),
    pytest.param("error_502", {}, "plan_error", id="502 html"),
    pytest.param("error_503", {}, "plan_error", id="503"),
    pytest.param("error_504", {}, "plan_error", id="504 html"),
    pytest.param("error_520", {}, "plan_error", id="520 html"),
    pytest.param("reset_before_headers", {}, "plan_unreachable", id="reset"),
    pytest.param("eof_before_headers", {}, "plan_unreachable", id="eof"),
    pytest.param("refuse", {}, "plan_unreachable", id="refused"),
    pytest.param("first_event_error", {"type": "overloaded_error"}, "plan_overloaded", id="first event overloaded"),
    pytest.param("first_event_error", {"type": "rate_limit_error"}, "plan_throttled", id="first event rate limit"),
    pytest.param("first_event_error", {"type": "api_error"}, "plan_error", id="first event api_error"),
]
COUNTS_NOT = [
    pytest.param("http_402", {}, "plan_entitlement", id="402"),
    pytest.param("long_context", {}, "plan_entitlement", id="long context"),
    pytest.param("long_context", {"unified": "allowed"}, "plan_entitlement", id="long context of a plan"),
]
PASSED = [
    pytest.param("http_400", 400, "rejected", id="400"),
    pytest.param("http_401", 401, "plan_auth", id="401"),
    pytest.param("http_403", 403, "plan_auth", id="403"),
    pytest.param("http_404", 404, "rejected", id="404"),
    pytest.param("http_413", 413, "rejected", id="413"),
]


@pytest.fixture
def stack(stack: Any) -> Any:
    return calmed(stack)


@STREAMS
@pytest.mark.parametrize(("fault", "arguments", "named"), OPENS_ALL)
def test_a_plan_that_is_used_up_falls_back_and_is_not_asked_again_for_any_family(
    stack: Any, stream: bool, fault: str, arguments: dict[str, Any], named: str
) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, reset=600, **arguments)
    first, same, other = ask(developer, stream=stream), ask(developer, stream=stream), ask(developer, stream=stream, model=OPUS)
    assert [each.came_from_bedrock(named) for each in (first, same, other)] == [True] * 3
    assert len(stack.plan_posts()) == 1
    assert f"plan:{named}" in trace_of(stack, first)
    assert line_of(stack, first)["circuit"].startswith("open until ")


@STREAMS
@pytest.mark.parametrize(("fault", "arguments", "named"), COUNTS)
def test_trouble_of_the_plan_falls_back_and_the_third_in_a_row_opens_the_circuit(
    stack: Any, stream: bool, fault: str, arguments: dict[str, Any], named: str
) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, **arguments)
    first, second, third, fourth = (ask(developer, stream=stream) for _ in range(4))
    assert [each.came_from_bedrock(named) for each in (first, second, third, fourth)] == [True] * 4
    assert any(reason.startswith(f"plan:{named}") for reason in trace_of(stack, first))
    circuits = [line_of(stack, each)["circuit"] for each in (first, second, third)]
    assert circuits[:2] == ["closed", "closed"]
    assert circuits[2].startswith("open until ")
    assert [was_skipped(stack, each) for each in (third, fourth)] == [False, True]


@STREAMS
@pytest.mark.parametrize(("fault", "arguments", "named"), COUNTS_NOT)
def test_what_the_plan_does_not_include_falls_back_and_never_opens_a_circuit(
    stack: Any, stream: bool, fault: str, arguments: dict[str, Any], named: str
) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, times=4, **arguments)
    fallen = [ask(developer, stream=stream) for _ in range(4)]
    assert [each.came_from_bedrock(named) for each in fallen] == [True] * 4
    assert ask(developer, stream=stream).came_from_plan


@STREAMS
def test_a_408_falls_back_and_opens_the_circuit_at_once(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("http_408")
    assert ask(developer, stream=stream).came_from_bedrock("plan_timeout")
    second = ask(developer, stream=stream)
    assert second.came_from_bedrock("plan_timeout")
    assert was_skipped(stack, second)


@pytest.mark.parametrize("fault", ["empty_200", "html_200"])
def test_a_200_that_is_no_event_stream_falls_back(stack: Any, fault: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault)
    assert [ask(developer).came_from_bedrock("plan_error") for _ in range(4)] == [True] * 4
    assert len(stack.plan_posts()) == 3


@STREAMS
@pytest.mark.parametrize(("fault", "status", "named"), PASSED)
def test_a_refusal_of_the_plan_is_passed_on_and_the_circuit_does_not_hear_of_it(
    stack: Any, stream: bool, fault: str, status: int, named: str
) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded", times=2)
    stack.anthropic.fault(fault, times=1)
    stack.anthropic.fault("overloaded", times=1)
    answers = [ask(developer, stream=stream) for _ in range(4)]
    refused, last = answers[2], answers[3]
    assert (refused.status, refused.provider, refused.fallback) == (status, "plan", "")
    assert refused.headers["request-id"] == refused.json["request_id"] != refused.request_id
    assert line_of(stack, refused)["fault"] == named
    assert line_of(stack, last)["circuit"].startswith("open until "), "no success came between the three failures"


@STREAMS
@pytest.mark.parametrize("status", [400, 401, 404, 418, 422])
def test_a_refusal_arrives_byte_for_byte(stack: Any, stream: bool, status: int) -> None:
    developer = stack.developer()
    body = b'{"type" :"error",\n "error":{"message":"\\u00e9 \xc3\xa9 "}}  \n'
    headers = (("request-id", "req_of_the_plan"), ("X-Odd", " a  b "), ("retry-after", "7"), ("x-should-retry", "false"))
    answer_id = stack.anthropic.record(RecordedAnswer(body, status, headers))
    answer = ask(developer, stream=stream, headers={"x-sandbox-answer": answer_id})
    assert (answer.status, answer.body, answer.provider) == (status, body, "plan")
    assert (answer.headers["request-id"], answer.headers["retry-after"]) == ("req_of_the_plan", "7")
    assert stack.bedrock_posts() == []


@STREAMS
def test_a_success_between_failures_starts_the_count_anew(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    for _ in range(2):
        stack.anthropic.fault("overloaded", times=2)
        assert [ask(developer, stream=stream).provider for _ in range(3)] == ["bedrock", "bedrock", "plan"]


@STREAMS
def test_paid_overage_is_an_answer_like_any_other(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overage_200")
    answers = [ask(developer, stream=stream) for _ in range(2)]
    assert [each.came_from_plan for each in answers] == [True, True]
    assert answers[0].headers["anthropic-ratelimit-unified-status"] == "rejected"


def test_three_streams_that_break_open_the_circuit_and_each_ends_with_one_error_event(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("cut_midstream", after=4, how="rst")
    broken = [ask(developer) for _ in range(3)]
    assert [(each.status, each.provider) for each in broken] == [(200, "plan")] * 3
    for each in broken:
        names = [name for name, _ in each.events]
        assert (names[-1], names.count("error")) == ("error", 1)
        assert each.events[-1][1]["error"]["type"] == "overloaded_error"
    assert [line_of(stack, each)["fault"] for each in broken] == ["stream_broken"] * 3
    assert line_of(stack, broken[2])["circuit"].startswith("open until ")
    assert ask(developer).came_from_bedrock("stream_broken")


@pytest.mark.parametrize("fault", ["cut_midstream", "error_midstream", "ends_early"])
def test_after_the_first_event_nothing_of_bedrock_is_ever_added(stack: Any, fault: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, after=3)
    answer = ask(developer)
    assert (answer.status, answer.provider) == (200, "plan")
    assert [name for name, _ in answer.events].count("message_start") == 1
    assert stack.bedrock_posts() == []


def test_what_bedrock_began_is_never_continued_by_the_plan(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded")
    stack.bedrock.fault("exception_midstream", after=3)
    answer = ask(developer)
    assert (answer.provider, answer.fallback, answer.events[-1][0]) == ("bedrock", "plan_overloaded", "error")
    assert (len(stack.plan_posts()), len(stack.bedrock_posts())) == (1, 1)
