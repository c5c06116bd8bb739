"""What the real client was recorded to send, through the running product, when Bedrock has to answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.live.asking import Answer, calmed, post, trace_of
from tests.proxy_app.bedrock.recorded import ANSWERABLE, SIX_MODELS, recorded_requests

RECORDED = recorded_requests()
STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture
def stack(stack: Any) -> Any:
    return calmed(stack)


def sent(developer: Any, name: str, **changes: Any) -> Answer:
    request = RECORDED[name]
    body = {"model": "claude-opus-5-5", **request["body"], **changes}
    return post(developer, "/v1/messages?beta=true", body, headers={"anthropic-beta": request["betas"]})


@STREAMS
@pytest.mark.parametrize("model", SIX_MODELS)
def test_every_recorded_request_is_served_by_bedrock_at_the_first_try(stack: Any, model: str, stream: bool) -> None:
    developer = stack.developer("bedrock_only")
    answers = [sent(developer, name, model=model, stream=stream) for name in ANSWERABLE]
    assert [answer.status for answer in answers] == [200] * len(ANSWERABLE)
    assert len(stack.bedrock_posts()) == len(ANSWERABLE)


def test_the_title_is_made_by_bedrock_when_the_plan_is_used_up(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", reset=600)
    answer = sent(developer, "title")
    assert (answer.status, answer.provider, answer.fallback) == (200, "bedrock", "plan_exhausted")
    assert not any(header.startswith("anthropic-ratelimit-unified") for header in answer.headers)
    assert "bedrock:turned output format into an instruction" in trace_of(stack, answer)


def test_the_quota_probe_is_the_plans_to_answer_whatever_it_says(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", reset=600)
    answer = sent(developer, "quota_probe")
    assert (answer.status, answer.provider) == (429, "plan")
    assert answer.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert stack.bedrock_posts() == []


@STREAMS
def test_a_web_search_gets_the_plans_own_429_when_the_plan_is_used_up(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", reset=600)
    answer = sent(developer, "web_search", stream=stream)
    assert (answer.status, answer.provider) == (429, "plan")
    assert answer.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert stack.bedrock_posts() == []


@STREAMS
def test_a_web_search_of_a_key_without_a_plan_is_refused_in_words(stack: Any, stream: bool) -> None:
    answer = sent(stack.developer("bedrock_only"), "web_search", stream=stream)
    assert (answer.status, answer.error_type) == (400, "invalid_request_error")
    assert "web_search_20250305 is not available" in answer.json["error"]["message"]
    assert stack.bedrock_posts() == []
