"""count_tokens, models and everything else beside messages, in every combination of upstreams (SPEC section 3)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sandbox.client import RecordedAnswer
from tests import machine
from tests.live.asking import Answer, ask, at_once, get, line_of, post, trace_of

TIMEOUT_S, ROOM_S = 2.0, 6.0
COUNT = "/v1/messages/count_tokens?beta=true"
COUNTED = {"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "count me " * 50}]}
# Bedrock counts the models up to 4.6 only.
UNCOUNTED = {**COUNTED, "model": "claude-sonnet-5-5"}
TROUBLE = ["overloaded", "throttle", "plan_exhausted", "error_500", "error_502", "http_402", "http_408", "reset_before_headers"]


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {"PROXY_COUNT_TOKENS_TIMEOUT_S": str(TIMEOUT_S)}


def _count(developer: Any, body: Any = None) -> Answer:
    return post(developer, COUNT, COUNTED if body is None else body)


def _everywhere(fault: str) -> tuple[str, dict[str, str]]:
    """Token counts and models are hit only by a fault that names a path."""
    return fault, {"path": "/v1/"}


def _is_exact(answer: Answer, provider: str) -> bool:
    marks = (answer.status, answer.provider, answer.headers.get("x-proxy-estimated"))
    return marks == (200, provider, None) and answer.json["input_tokens"] > 0


def _is_estimate(answer: Answer) -> bool:
    marks = (answer.status, answer.provider, answer.headers.get("x-proxy-estimated"))
    return marks == (200, "", "true") and 80 < answer.json["input_tokens"] < 400


# --- count_tokens


def test_the_plan_counts(stack: Any) -> None:
    developer = stack.developer()
    answer = _count(developer)
    assert _is_exact(answer, "plan")
    assert stack.plan_posts()[0]["target"] == COUNT
    assert stack.bedrock_posts() == []


@pytest.mark.parametrize("fault", TROUBLE)
def test_with_the_plan_in_trouble_bedrock_counts(stack: Any, fault: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, match={"path": "count_tokens"})
    assert [_is_exact(_count(developer), "bedrock") for _ in range(4)] == [True] * 4
    asked = [each["target"] for each in stack.bedrock_posts()]
    assert asked == ["/model/anthropic.claude-sonnet-4-6/count-tokens"] * 4
    stack.anthropic.clear_faults()
    assert ask(developer).came_from_plan, "circuits do not hear of token counts"


@pytest.mark.parametrize("fault", ["hang", "headers_then_hang", "cut_midstream"])
def test_a_plan_that_is_slow_to_count_or_stops_half_way_is_replaced(stack: Any, fault: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, match={"path": "count_tokens"})
    answer = _count(developer)
    assert _is_exact(answer, "bedrock")
    assert answer.seconds < TIMEOUT_S + ROOM_S


def test_an_open_circuit_does_not_keep_a_count_from_the_plan(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    assert ask(developer).came_from_bedrock("plan_exhausted")
    assert _is_exact(_count(developer), "plan")
    assert ask(developer).came_from_bedrock("plan_exhausted")


@pytest.mark.parametrize("bedrock", ["refuse", "http_403", "throttle", "internal", "hang", "reset_before_headers", "html_200"])
def test_with_both_in_trouble_the_count_is_an_estimate_that_says_so(stack: Any, bedrock: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded", match={"path": "count_tokens"})
    stack.bedrock.fault(bedrock, match={"path": "count-tokens"})
    answer = _count(developer)
    assert _is_estimate(answer)
    assert answer.headers["request-id"] == answer.request_id
    assert trace_of(stack, answer)[-1] == "estimated"
    assert line_of(stack, answer)["confidence"] == "estimated"


def test_a_model_that_bedrock_does_not_count_is_estimated(stack: Any) -> None:
    developer = stack.developer("bedrock_only")
    assert _is_estimate(_count(developer, UNCOUNTED))
    assert stack.bedrock_posts() == []


@pytest.mark.parametrize(("strategy", "bedrock"), [("plan_only", "bedrock-sandbox"), ("plan_first", "")])
def test_without_bedrock_the_count_is_estimated_and_bedrock_is_not_asked(stack: Any, strategy: str, bedrock: str) -> None:
    developer = stack.developer(strategy, bedrock=bedrock)
    stack.anthropic.fault("overloaded", match={"path": "count_tokens"})
    assert _is_estimate(_count(developer))
    assert stack.bedrock_posts() == []


def test_a_bedrock_only_key_counts_without_the_plan(stack: Any) -> None:
    developer = stack.developer("bedrock_only")
    assert _is_exact(_count(developer), "bedrock")
    stack.bedrock.listen(False)
    assert _is_estimate(_count(developer))
    assert stack.anthropic.requests() == []


@pytest.mark.parametrize(("fault", "status"), [("http_400", 400), ("http_401", 401), ("http_403", 403), ("http_404", 404)])
def test_a_refusal_of_the_plan_to_count_is_passed_on(stack: Any, fault: str, status: int) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, match={"path": "count_tokens"})
    answer = _count(developer)
    assert (answer.status, answer.provider) == (status, "plan")
    assert stack.bedrock_posts() == []


def test_a_throttled_count_is_not_asked_again(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("throttle", match={"path": "count_tokens"}, retry_after="1")
    began = machine.now()
    answer = _count(developer)
    took_s = machine.now().since(began)
    assert _is_exact(answer, "bedrock")
    assert (len(stack.plan_posts()), took_s < 1.0) == (1, True)


@pytest.mark.parametrize(
    "body",
    [{}, {"messages": None}, {"model": 3, "messages": [1, None, {"content": {"a": 1}}], "tools": "x"}, {"system": [[]]}],
    ids=str,
)
def test_the_strangest_body_is_counted_too(stack: Any, body: dict[str, Any]) -> None:
    developer = stack.developer("bedrock_only")
    answer = _count(developer, body)
    assert answer.status == 200
    assert answer.json["input_tokens"] > 0


def test_a_body_that_is_no_json_object_is_the_clients_mistake(stack: Any) -> None:
    developer = stack.developer("bedrock_only")
    answer = post(developer, COUNT, b"[1")
    assert (answer.status, answer.error_type) == (400, "invalid_request_error")


@pytest.mark.parametrize("plan", ["ok", "overloaded", "refuse", "hang"])
def test_twenty_seven_counts_at_once_are_answered_in_the_time_of_one(stack: Any, plan: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(plan, match={"path": "count_tokens"})
    answers = at_once(27, lambda: _count(developer))
    assert [each.status for each in answers] == [200] * 27
    assert max(each.seconds for each in answers) < TIMEOUT_S + ROOM_S
    stack.anthropic.clear_faults()
    assert ask(developer).came_from_plan


# --- models


def _ids(answer: Answer) -> list[str]:
    return [row["id"] for row in answer.json["data"]]


def _is_in_anthropics_shape(listing: Any) -> bool:
    rows = listing["data"]
    shape = [set(row) == {"type", "id", "display_name", "created_at"} and row["type"] == "model" for row in rows]
    dates = [re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["created_at"]) is not None for row in rows]
    ends = (listing["first_id"], listing["last_id"]) == (rows[0]["id"], rows[-1]["id"])
    return set(listing) == {"data", "has_more", "first_id", "last_id"} and all(shape) and all(dates) and ends


def test_the_plan_lists_its_models_byte_for_byte(stack: Any) -> None:
    developer = stack.developer()
    answer_body = b'{"data" : [],\n "has_more":false}'
    stack.anthropic.record(RecordedAnswer(answer_body))
    assert get(developer, "/v1/models?limit=1000").provider == "plan"
    assert stack.anthropic.requests()[0]["target"] == "/v1/models?limit=1000"


@pytest.mark.parametrize("fault", [*TROUBLE, "hang", "headers_then_hang"])
def test_with_the_plan_in_trouble_bedrocks_models_are_listed_in_anthropics_shape(stack: Any, fault: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, match={"path": "/v1/models"})
    answer = get(developer, "/v1/models?limit=1000")
    assert (answer.status, answer.provider) == (200, "bedrock")
    assert _is_in_anthropics_shape(answer.json)
    assert {"claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"} <= set(_ids(answer))


def test_one_model_is_found_by_its_id_and_an_unknown_one_is_a_404(stack: Any) -> None:
    developer = stack.developer("bedrock_only")
    found, missing = get(developer, "/v1/models/claude-sonnet-5-5"), get(developer, "/v1/models/claude-nothing-9")
    assert (found.status, found.json["id"], found.json["type"]) == (200, "claude-sonnet-5-5", "model")
    assert (missing.status, missing.error_type) == (404, "not_found_error")
    assert get(developer, "/v1/models/claude%2Dsonnet-5-5").json == found.json
    assert stack.anthropic.requests() == []


def test_bedrocks_models_are_paged_as_anthropics_are(stack: Any) -> None:
    developer = stack.developer("bedrock_only")
    everything = _ids(get(developer, "/v1/models?limit=1000"))
    first = get(developer, "/v1/models?limit=2")
    second = get(developer, f"/v1/models?limit=2&after_id={first.json['last_id']}")
    back = get(developer, f"/v1/models?limit=2&before_id={second.json['first_id']}")
    assert (_ids(first), first.json["has_more"]) == (everything[:2], True)
    assert _ids(second) == everything[2:4]
    assert (_ids(back), back.json["has_more"]) == (everything[:2], False)
    assert get(developer, "/v1/models?limit=1000").json["has_more"] is False


@pytest.mark.parametrize(("strategy", "bedrock"), [("plan_only", "bedrock-sandbox"), ("plan_first", "")])
def test_a_key_that_reaches_no_model_on_bedrock_gets_the_plans_own_answer(stack: Any, strategy: str, bedrock: str) -> None:
    developer = stack.developer(strategy, bedrock=bedrock)
    stack.anthropic.fault("error_503", match={"path": "/v1/models"}, message="words of the plan")
    refused = get(developer, "/v1/models")
    assert (refused.status, refused.provider, refused.json["error"]["message"]) == (503, "plan", "words of the plan")
    stack.anthropic.listen(False)
    away = get(developer, "/v1/models")
    assert (away.status, away.error_type, away.json["request_id"]) == (529, "overloaded_error", away.request_id)


# --- everything else


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_any_other_path_goes_to_the_plan_as_it_is(stack: Any, method: str) -> None:
    developer = stack.developer()
    path = "/echo/v1/files%2Fa?x=%20y&z"
    answer = get(developer, path) if method == "GET" else post(developer, path, b"raw \x00 bytes")
    assert (answer.status, answer.provider) == (200, "plan")
    assert (answer.json["method"], answer.json["target"]) == (method, path)


@pytest.mark.parametrize("fault", ["overloaded", "throttle", "plan_exhausted", "http_401", "error_502"])
def test_on_any_other_path_whatever_the_plan_answers_is_the_answer_at_once(stack: Any, fault: str) -> None:
    developer = stack.developer()
    arguments = {"retry_after": "1"} if fault == "throttle" else {}
    stack.anthropic.fault(fault, match={"path": "/v1/files"}, **arguments)
    answer = post(developer, "/v1/files", b"{}")
    assert (answer.status >= 400, answer.provider) == (True, "plan")
    assert (len(stack.plan_posts()), stack.bedrock.requests()) == (1, [])


def test_on_any_other_path_a_plan_that_is_away_is_our_529(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.listen(False)
    answer = get(developer, "/v1/files")
    assert (answer.status, answer.error_type, answer.json["request_id"]) == (529, "overloaded_error", answer.request_id)


@pytest.mark.parametrize("path", ["/v1/files", "/v1/organizations", "/api/oauth/profile", "/v1/messages/batches"])
def test_for_a_bedrock_only_key_any_other_path_is_a_404_and_the_plan_hears_nothing(stack: Any, path: str) -> None:
    developer = stack.developer("bedrock_only")
    answers = [get(developer, path), post(developer, path, b"{}")]
    assert [(each.status, each.error_type) for each in answers] == [(404, "not_found_error")] * 2
    assert stack.anthropic.requests() == []
