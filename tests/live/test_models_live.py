"""Which model ids go out to an AWS account that allows no `global.` profile, and what comes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.live.asking import MODEL, ask, get, line_of, trace_of
from tests.live.bedrock_asked import attach, ids_asked, secrets_asked

STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
GLOBAL, US = f"global.anthropic.{MODEL}", f"us.anthropic.{MODEL}"
INVALID = "The provided model identifier is invalid."


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {"PROXY_BEDROCK_MAX_TOKENS": "2048"}


@pytest.fixture(scope="module")
def bedrock_options() -> tuple[str, ...]:
    return ("--keep-bodies", "--account", "no-global", "--region", "us-east-1")


@STREAMS
def test_a_denied_global_profile_is_asked_once_and_then_no_more(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only")
    answers = [ask(developer, stream=stream) for _ in range(3)]
    assert [each.came_from_bedrock("") for each in answers] == [True] * 3
    assert ids_asked(stack) == [GLOBAL, US, US, US]
    assert trace_of(stack, answers[0]) == [f"bedrock:not_entitled({GLOBAL})", "bedrock:200"]
    assert trace_of(stack, answers[1]) == ["bedrock:200"]


@STREAMS
def test_an_invalid_identifier_is_asked_once_and_then_no_more(stack: Any, stream: bool) -> None:
    stack.bedrock.fault("http_400", message=INVALID, match={"path": "/model/global."})
    developer = stack.developer("bedrock_only")
    answers = [ask(developer, stream=stream) for _ in range(2)]
    assert [each.came_from_bedrock("") for each in answers] == [True, True]
    assert ids_asked(stack) == [GLOBAL, US, US]
    assert trace_of(stack, answers[0])[0] == f"bedrock:invalid_identifier({GLOBAL})"


@STREAMS
def test_a_throttled_key_tries_its_next_profile_and_then_another_healthy_key(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only", bedrock="")
    first = attach(stack, developer, "bedrock-first")
    second = attach(stack, developer, "bedrock-second", after=first)
    stack.bedrock.fault("throttling_first_frame" if stream else "throttling_http", match={"credential": "bedrock-first"})
    stack.bedrock.fault("throttling_http", match={"credential": "bedrock-first"})
    answer = ask(developer, stream=stream)
    assert answer.came_from_bedrock("")
    assert line_of(stack, answer)["bedrock_key_id"] == second
    assert secrets_asked(stack)[-1] == "bedrock-second"
    assert ids_asked(stack)[-2:] == [GLOBAL, US]


@STREAMS
def test_geo_residency_never_asks_a_global_profile_whatever_bedrock_says(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only", bedrock="")
    attach(stack, developer, "bedrock-first", residency="geo")
    assert ask(developer, stream=stream).came_from_bedrock("")
    for fault in ("throttling_http", "access_denied", "service_unavailable"):
        stack.bedrock.fault(fault, times=1)
        ask(developer, stream=stream)
    ask(developer, stream=stream, model=GLOBAL)
    ask(developer, stream=stream, model="claude-sonnet-9")
    assert {each.partition(".")[0] for each in ids_asked(stack)} == {"us"}


@STREAMS
def test_a_model_that_bedrock_does_not_know_is_answered_by_the_newest_of_its_family(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only")
    answers = [ask(developer, stream=stream, model="claude-sonnet-9") for _ in range(2)]
    assert [each.came_from_bedrock("") for each in answers] == [True, True]
    assert ids_asked(stack) == ["global.anthropic.claude-sonnet-9", "us.anthropic.claude-sonnet-9", GLOBAL, US, US]
    assert trace_of(stack, answers[0])[-2:] == [f"bedrock:instead({MODEL})", "bedrock:200"]
    line = line_of(stack, answers[1])
    assert (line["model_asked"], line["model_served"]) == ("claude-sonnet-9", US)
    assert line["cost_micros"] > 0


@STREAMS
def test_seoul_under_geo_says_that_only_global_profiles_reach_it(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only", bedrock="")
    attach(stack, developer, "bedrock-first", "ap-northeast-2", "geo")
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.error_type) == (400, "invalid_request_error")
    assert "ap-northeast-2 reaches it only through global profiles" in answer.json["error"]["message"]
    assert "residency is geo" in trace_of(stack, answer)[-1]
    assert ids_asked(stack) == []


@STREAMS
def test_the_operators_cap_on_max_tokens_is_sent_and_noted(stack: Any, stream: bool) -> None:
    answer = ask(stack.developer("bedrock_only"), stream=stream, max_tokens=64_000)
    assert answer.came_from_bedrock("")
    assert "bedrock:capped max_tokens at 2048" in trace_of(stack, answer)
    assert {json.loads(each["body"])["max_tokens"] for each in stack.bedrock_posts()} == {2048}


def test_the_list_of_models_is_what_the_keys_place_reaches(stack: Any) -> None:
    developer = stack.developer("bedrock_only", bedrock="")
    attach(stack, developer, "bedrock-first", "ap-northeast-1", "geo")
    listed = [row["id"] for row in get(developer, "/v1/models?limit=1000").json["data"]]
    assert "claude-opus-5-5" in listed
    assert "claude-fable-5-1" not in listed
