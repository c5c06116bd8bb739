"""When nothing else can serve (SPEC section 4): the last word of the Plan, of Bedrock, or of the proxy itself."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.client import RecordedAnswer
from tests.live.asking import Answer, ask, calmed, line_of, post, trace_of

STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture
def stack(stack: Any) -> Any:
    return calmed(stack)


def _status_and_words(answer: Answer) -> tuple[int, str, bool]:
    return answer.status, answer.error_type, answer.json["error"]["message"].startswith("claude-code-proxy:")


@STREAMS
@pytest.mark.parametrize("bedrock", ["service_unavailable", "throttling_http", "internal", "http_403", "http_401", "http_400"])
def test_if_bedrock_fails_too_the_plans_own_refusal_arrives(stack: Any, stream: bool, bedrock: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault("error_503", message="words of the plan")
    stack.bedrock.fault(bedrock)
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.provider, answer.fallback) == (503, "plan", "")
    assert answer.json["error"]["message"] == "words of the plan"
    assert any(reason.startswith("bedrock:") for reason in trace_of(stack, answer))


def test_a_stream_that_begins_with_an_error_is_passed_on_if_bedrock_fails_too(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("first_event_error", type="overloaded_error")
    stack.bedrock.fault("service_unavailable")
    answer = ask(developer)
    assert (answer.status, answer.provider, [name for name, _ in answer.events]) == (200, "plan", ["error"])
    assert line_of(stack, answer)["fault"] == "plan_overloaded"


@STREAMS
def test_if_the_plan_was_skipped_and_bedrock_fails_the_plan_is_asked_now_and_its_answer_is_the_answer(
    stack: Any, stream: bool
) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    assert ask(developer, stream=stream).came_from_bedrock("plan_exhausted")
    stack.bedrock.fault("service_unavailable")
    answer = ask(developer, stream=stream)
    assert answer.came_from_plan
    assert "plan:last resort" in trace_of(stack, answer)


@STREAMS
def test_a_skipped_plan_that_refuses_when_bedrock_fails_is_passed_on(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", reset=600)
    ask(developer, stream=stream)
    stack.bedrock.fault("service_unavailable")
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.provider) == (429, "plan")
    assert answer.headers["anthropic-ratelimit-unified-status"] == "rejected"


@STREAMS
def test_a_web_search_that_bedrock_cannot_run_is_the_plans_to_answer(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    search = [{"type": "web_search_20250305", "name": "web_search"}]
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    ask(developer, stream=stream)
    answer = ask(developer, stream=stream, tools=search, tool_choice={"type": "tool", "name": "web_search"})
    assert answer.came_from_plan
    assert stack.bedrock_posts()[1:] == []


@STREAMS
@pytest.mark.parametrize("plan", ["refuse", "reset_before_headers"])
def test_with_both_upstreams_away_the_error_is_ours(stack: Any, stream: bool, plan: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(plan)
    stack.bedrock.listen(False)
    answer = ask(developer, stream=stream)
    assert _status_and_words(answer) == (529, "overloaded_error", True)
    assert answer.json["request_id"] == answer.headers["request-id"] == answer.request_id
    assert (answer.provider, answer.fallback) == ("", "")


@STREAMS
def test_a_bedrock_that_is_back_is_asked_before_an_error_is_made(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.listen(False)
    stack.bedrock.fault("service_unavailable", times=3)
    assert [ask(developer, stream=stream).status for _ in range(3)] == [529] * 3
    answer = ask(developer, stream=stream)
    assert answer.came_from_bedrock("plan_unreachable")
    assert any(reason.startswith("bedrock:skipped(") for reason in trace_of(stack, answer))


@STREAMS
def test_a_plan_only_key_whose_plan_is_away_gets_our_error(stack: Any, stream: bool) -> None:
    developer = stack.developer("plan_only")
    stack.anthropic.listen(False)
    assert _status_and_words(ask(developer, stream=stream)) == (529, "overloaded_error", True)


@STREAMS
def test_a_prompt_too_long_for_bedrock_is_told_as_such(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded")
    stack.bedrock.fault("validation")
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.fallback) == (400, "plan_overloaded")
    assert answer.json["error"]["message"].startswith("prompt is too long")


def test_a_stale_connection_is_no_fault(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("close_after_response", times=3)
    assert [ask(developer).came_from_plan for _ in range(6)] == [True] * 6
    assert len(stack.plan_posts()) == 6


def test_a_redirect_is_passed_on_and_not_followed(stack: Any) -> None:
    developer = stack.developer()
    answer_id = stack.anthropic.record(RecordedAnswer(b"", 307, (("location", "http://127.0.0.1:1/elsewhere"),)))
    answer = ask(developer, headers={"x-sandbox-answer": answer_id})
    assert (answer.status, answer.provider, answer.headers["location"]) == (307, "plan", "http://127.0.0.1:1/elsewhere")


@STREAMS
def test_a_body_that_is_no_json_object_is_the_plans_to_judge(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    assert post(developer, "/v1/messages", b"[1, 2").status == 400
    deep = b'{"model":"claude-sonnet-5-5","max_tokens":9,"messages":[],"x":' + b'{"a":' * 1010 + b"1" + b"}" * 1010 + b"}"
    stack.anthropic.fault("overloaded")
    answers = [post(developer, "/v1/messages", body) for body in (b"[1, 2", deep)]
    assert [(each.status, each.provider) for each in answers] == [(529, "plan")] * 2
