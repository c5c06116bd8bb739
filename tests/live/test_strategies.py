"""Strategies, the quota probe, the one exception to untouched bytes, and a throttle that is waited for (SPEC section 4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.live.asking import ask, calmed, post, question, trace_of

STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture
def stack(stack: Any) -> Any:
    return calmed(stack)


@STREAMS
def test_a_plan_only_key_gets_the_plans_own_refusal_and_no_circuit_stops_it(stack: Any, stream: bool) -> None:
    developer = stack.developer("plan_only")
    stack.anthropic.fault("overloaded", times=4)
    refused = [ask(developer, stream=stream) for _ in range(4)]
    assert [(each.status, each.error_type, each.provider) for each in refused] == [(529, "overloaded_error", "plan")] * 4
    assert ask(developer, stream=stream).came_from_plan
    assert stack.bedrock_posts() == []


@STREAMS
def test_a_key_without_a_bedrock_key_gets_the_plans_own_refusal(stack: Any, stream: bool) -> None:
    developer = stack.developer(bedrock="")
    stack.anthropic.fault("plan_exhausted", reset=600)
    refused = [ask(developer, stream=stream) for _ in range(2)]
    assert [(each.status, each.headers["anthropic-ratelimit-unified-status"]) for each in refused] == [(429, "rejected")] * 2
    stack.anthropic.clear_faults()
    assert ask(developer, stream=stream).came_from_plan


@STREAMS
def test_a_bedrock_only_key_sends_nothing_to_the_plan_and_names_no_fallback(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only")
    assert ask(developer, stream=stream).came_from_bedrock("")
    probe = ask(developer, stream=False, max_tokens=1, messages=[{"role": "user", "content": "quota"}])
    assert (probe.status, probe.provider, probe.fallback) == (200, "bedrock", "")
    assert stack.anthropic.requests() == []


@STREAMS
@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("throttling_http", 429, "rate_limit_error"),
        ("service_unavailable", 529, "overloaded_error"),
        ("internal", 500, "api_error"),
        ("model_timeout", 504, "timeout_error"),
        ("throttling_first_frame", 429, "rate_limit_error"),
        ("http_401", 529, "overloaded_error"),
        ("http_403", 529, "overloaded_error"),
    ],
)
def test_a_bedrock_only_key_gets_bedrocks_error_in_anthropics_words_with_our_request_id(
    stack: Any, stream: bool, fault: str, status: int, kind: str
) -> None:
    developer = stack.developer("bedrock_only")
    stack.bedrock.fault(fault)
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.error_type, answer.provider, answer.fallback) == (status, kind, "bedrock", "")
    assert answer.json["request_id"] == answer.request_id == answer.headers["request-id"]
    assert stack.anthropic.requests() == []


@STREAMS
def test_no_circuit_keeps_a_bedrock_only_key_from_its_only_upstream(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only")
    stack.bedrock.fault("service_unavailable", times=4)
    assert [ask(developer, stream=stream).status for _ in range(4)] == [529] * 4
    assert ask(developer, stream=stream).came_from_bedrock("")


def test_the_quota_probe_always_goes_to_the_plan_and_its_answer_is_passed_on(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", reset=600)
    assert ask(developer).came_from_bedrock("plan_exhausted")
    probe = ask(developer, stream=False, max_tokens=1, messages=[{"role": "user", "content": "quota"}])
    assert (probe.status, probe.provider) == (429, "plan")
    assert probe.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert ask(developer).came_from_bedrock("plan_exhausted")
    assert len(stack.plan_posts()) == 2


def _with_thinking_from_bedrock(stream: bool) -> dict[str, Any]:
    thought = {"type": "thinking", "thinking": "hm", "signature": "bedrock-0123456789"}
    turns = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "hi"}]},
        {"role": "user", "content": "and now?"},
    ]
    return question(stream, messages=turns)


@STREAMS
def test_a_conversation_that_comes_back_from_bedrock_is_asked_once_more_without_its_thinking(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("strict_thinking")
    answer = post(developer, "/v1/messages", _with_thinking_from_bedrock(stream))
    assert answer.came_from_plan
    sent = stack.plan_posts()
    assert ["bedrock-0123456789" in each["body"] for each in sent] == [True, False]
    assert "plan:thinking stripped" in trace_of(stack, answer)


@STREAMS
def test_the_exception_for_thinking_holds_behind_a_throttle_too(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("throttle", times=1, should_retry="true")
    stack.anthropic.fault("strict_thinking")
    assert post(developer, "/v1/messages", _with_thinking_from_bedrock(stream)).came_from_plan
    assert len(stack.plan_posts()) == 3


@STREAMS
def test_thinking_is_stripped_once_and_a_second_refusal_is_passed_on(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("http_400", message="messages.1.content.0: Invalid `signature` in `thinking` block")
    answer = post(developer, "/v1/messages", _with_thinking_from_bedrock(stream))
    assert (answer.status, answer.provider, len(stack.plan_posts())) == (400, "plan", 2)
    assert "plan:thinking stripped" in trace_of(stack, answer)


def test_other_400s_are_never_asked_again(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("http_400")
    assert post(developer, "/v1/messages", _with_thinking_from_bedrock(True)).status == 400
    assert len(stack.plan_posts()) == 1


# --- a throttle of the Plan is waited for, within patience (3 s)


@STREAMS
@pytest.mark.parametrize("advice", [{"retry_after": "1"}, {"should_retry": "true"}, {"retry_after": "0"}], ids=str)
def test_a_throttle_with_a_short_wait_is_asked_once_more(stack: Any, stream: bool, advice: dict[str, str]) -> None:
    developer = stack.developer()
    stack.anthropic.fault("throttle", times=1, **advice)
    answer = ask(developer, stream=stream)
    assert answer.came_from_plan
    assert len(stack.plan_posts()) == 2
    assert answer.seconds >= {"1": 1.0, "0": 0.0}.get(advice.get("retry_after", ""), 0.5)


@STREAMS
def test_a_throttle_that_lasts_falls_back_after_one_retry(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("throttle", should_retry="true")
    assert ask(developer, stream=stream).came_from_bedrock("plan_throttled")
    assert len(stack.plan_posts()) == 2


@STREAMS
@pytest.mark.parametrize("advice", [{"retry_after": "4"}, {"retry_after": "soon", "should_retry": "true"}, {}], ids=str)
def test_a_throttle_without_a_short_wait_falls_back_at_once(stack: Any, stream: bool, advice: dict[str, str]) -> None:
    developer = stack.developer()
    stack.anthropic.fault("throttle", **advice)
    assert ask(developer, stream=stream).came_from_bedrock("plan_throttled")
    assert len(stack.plan_posts()) == 1
