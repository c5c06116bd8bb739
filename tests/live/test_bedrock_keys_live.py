"""Several Bedrock keys, several ids of one model: which is asked when, and what administrators are told (SPEC section 6)."""

from __future__ import annotations

from typing import Any

import pytest

from core import bedrock_keys
from core.types import KeyHealth
from tests.live.asking import MODEL, OPUS, ask, await_true, line_of, trace_of
from tests.live.bedrock_asked import attach

STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
FIRST, SECOND = "bedrock-first", "bedrock-second"
GLOBAL, US = f"/model/global.anthropic.{MODEL}/", f"/model/us.anthropic.{MODEL}/"


def _two_keys(stack: Any, strategy: str = "bedrock_only") -> tuple[Any, str, str]:
    developer = stack.developer(strategy, bedrock="")
    first = attach(stack, developer, FIRST)
    return developer, first, attach(stack, developer, SECOND, after=first)


def _health(stack: Any, key_id: str) -> KeyHealth:
    found = stack.database.read(lambda connection: bedrock_keys.find_bedrock_key(connection, key_id))
    return KeyHealth(found.key.health)


def _asked(stack: Any) -> list[tuple[str, str]]:
    """(secret, id of the model with its slashes) of each request to Bedrock."""
    seen = []
    for each in stack.bedrock_posts():
        secret = {name.lower(): value for name, value in each["headers"]}["authorization"].removeprefix("Bearer ")
        seen.append((secret, each["target"].partition("invoke")[0]))
    return seen


def _told(stack: Any, key_id: str) -> list[str]:
    """What administrators were told of a key, in the log."""
    lines = (line for line in stack.product.logs() if line["message"] == "a Bedrock key needs an administrator")
    return [line["context"]["reason"] for line in lines if line["context"]["bedrock_key_id"] == key_id]


@STREAMS
@pytest.mark.parametrize("fault", ["throttling_http", "throttling_first_frame", "not_ready", "quota_day"])
def test_a_throttled_profile_is_followed_by_the_next_and_is_the_first_choice_again(stack: Any, stream: bool, fault: str) -> None:
    developer = stack.developer("bedrock_only", bedrock=FIRST)
    stack.bedrock.fault(fault, times=1, match={"path": GLOBAL})
    answers = [ask(developer, stream=stream) for _ in range(2)]
    assert [each.came_from_bedrock("") for each in answers] == [True, True]
    again = US if fault == "quota_day" else GLOBAL  # a quota is known to last
    assert _asked(stack) == [(FIRST, GLOBAL), (FIRST, US), (FIRST, again)]
    assert any(reason.startswith("bedrock:") and "global.anthropic" in reason for reason in trace_of(stack, answers[0]))


@STREAMS
@pytest.mark.parametrize("fault", ["throttling_http", "service_unavailable", "internal", "quota_exceeded", "quota_day"])
def test_a_key_that_cannot_serve_is_followed_by_the_next_key(stack: Any, stream: bool, fault: str) -> None:
    developer, _, second = _two_keys(stack)
    stack.bedrock.fault(fault, match={"credential": FIRST})
    answer = ask(developer, stream=stream)
    assert answer.came_from_bedrock("")
    assert line_of(stack, answer)["bedrock_key_id"] == second
    assert _asked(stack)[-1] == (SECOND, GLOBAL)


@STREAMS
def test_geo_residency_never_leaves_the_geography_not_on_throttle_either(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only", bedrock="")
    attach(stack, developer, FIRST, residency="geo")
    stack.bedrock.fault("throttling_http")
    assert ask(developer, stream=stream).status == 429
    assert _asked(stack) == [(FIRST, US)]


@STREAMS
def test_a_timeout_is_not_tried_again_with_another_key(stack: Any, stream: bool) -> None:
    developer, _, _ = _two_keys(stack)
    stack.bedrock.fault("model_timeout", times=1)
    assert ask(developer, stream=stream).status == 504
    assert _asked(stack) == [(FIRST, GLOBAL)]


@STREAMS
def test_a_request_that_bedrock_finds_wrong_is_not_tried_again(stack: Any, stream: bool) -> None:
    developer, _, _ = _two_keys(stack)
    stack.bedrock.fault("http_400")
    assert ask(developer, stream=stream).status == 400
    assert _asked(stack) == [(FIRST, GLOBAL)]


@STREAMS
def test_a_daily_quota_keeps_the_key_closed_until_midnight_utc(stack: Any, stream: bool) -> None:
    developer, first, _ = _two_keys(stack)
    stack.bedrock.fault("quota_day", match={"credential": FIRST})
    for _ in range(2):
        assert ask(developer, stream=stream).came_from_bedrock("")
    assert _asked(stack) == [(FIRST, GLOBAL), (FIRST, US), (SECOND, GLOBAL), (SECOND, GLOBAL)]
    lines = [line["context"] for line in stack.product.logs() if line["message"] == "circuit open"]
    opened = [line for line in lines if line.get("bedrock_key_id") == first]
    assert [(line["fault"], line["until"] % 86_400) for line in opened] == [("bedrock_quota", 0.0)] * 2


@STREAMS
def test_three_failures_of_one_key_make_the_other_the_first_choice(stack: Any, stream: bool) -> None:
    developer, _, _ = _two_keys(stack)
    stack.bedrock.fault("service_unavailable", match={"credential": FIRST, "path": GLOBAL})
    stack.bedrock.fault("service_unavailable", match={"credential": FIRST, "path": US})
    for _ in range(7):
        assert ask(developer, stream=stream).came_from_bedrock("")
    assert [secret for secret, _ in _asked(stack)].count(FIRST) == 6
    stack.bedrock.reset()
    assert ask(developer, stream=stream).came_from_bedrock("")
    assert _asked(stack) == [(SECOND, GLOBAL)]


@STREAMS
@pytest.mark.parametrize("secret", ["bedrock-expired", "bedrock-malformed", "bedrock-bad"])
def test_a_key_that_aws_refuses_is_marked_unhealthy_and_used_no_more(stack: Any, stream: bool, secret: str) -> None:
    developer = stack.developer("bedrock_only", bedrock="")
    refused = attach(stack, developer, secret)
    attach(stack, developer, SECOND, after=refused)
    assert ask(developer, stream=stream).came_from_bedrock("")
    assert await_true(lambda: _health(stack, refused) is KeyHealth.UNHEALTHY)
    assert _told(stack, refused)[0] == "auth"

    def is_left_alone() -> bool:
        stack.bedrock.reset()
        return ask(developer, stream=stream).status == 200 and _asked(stack) == [(SECOND, GLOBAL)]

    await_true(is_left_alone)


@STREAMS
@pytest.mark.parametrize(
    ("fault", "health"),
    [("http_401", KeyHealth.UNHEALTHY), ("http_403", KeyHealth.LIMITED), ("access_denied", KeyHealth.LIMITED)],
)
@pytest.mark.parametrize("strategy", ["bedrock_only", "plan_first"])
def test_bedrocks_401_and_403_never_reach_the_client(
    stack: Any, stream: bool, fault: str, health: KeyHealth, strategy: str
) -> None:
    developer = stack.developer(strategy, bedrock="")
    key = attach(stack, developer, FIRST)
    stack.anthropic.fault("overloaded")
    stack.bedrock.fault(fault)
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.error_type) == (529, "overloaded_error")
    assert await_true(lambda: _health(stack, key) is health)
    assert _told(stack, key) != []


@STREAMS
def test_with_every_key_unhealthy_a_bedrock_only_key_is_told_whom_to_ask(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only", bedrock="bedrock-expired")
    ask(developer, stream=stream)

    def is_told() -> bool:
        answer = ask(developer, stream=stream)
        assert answer.status == 529
        return "ask your administrator" in answer.json["error"]["message"]

    await_true(is_told)


@STREAMS
def test_with_every_key_unhealthy_the_plans_own_refusal_arrives_and_no_circuit_applies(stack: Any, stream: bool) -> None:
    developer = stack.developer(bedrock="")
    key = attach(stack, developer, "bedrock-expired")
    stack.anthropic.fault("plan_exhausted", reset=600)
    assert ask(developer, stream=stream).headers["anthropic-ratelimit-unified-status"] == "rejected"
    await_true(lambda: _health(stack, key) is KeyHealth.UNHEALTHY)
    stack.anthropic.clear_faults()
    await_true(lambda: ask(developer, stream=stream).came_from_plan)


@STREAMS
def test_an_account_without_global_profiles_uses_the_next_and_remembers_it(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only", bedrock="")
    key = attach(stack, developer, FIRST)
    stack.bedrock.fault("access_denied", match={"path": "/model/global."})
    for _ in range(2):
        assert ask(developer, stream=stream).came_from_bedrock("")
    assert _asked(stack) == [(FIRST, GLOBAL), (FIRST, US), (FIRST, US)]
    assert (_health(stack, key), _told(stack, key)) == (KeyHealth.UNKNOWN, [])


@STREAMS
def test_one_model_that_is_denied_takes_no_key_out_of_use_not_even_a_fresh_one(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only", bedrock="")
    key = attach(stack, developer, FIRST)
    stack.bedrock.fault("access_denied", match={"model": OPUS})
    denied = ask(developer, stream=stream, model=OPUS)
    assert (denied.status, denied.headers["x-should-retry"]) == (529, "false")
    assert await_true(lambda: _health(stack, key) is KeyHealth.LIMITED)
    assert ask(developer, stream=stream).came_from_bedrock("")
    assert _told(stack, key) == ["not_entitled"]


@pytest.mark.parametrize(
    ("fault", "message", "named", "shown"),
    [
        ("http_404", "Model use case details have not been submitted for this account.", "use_case_form", "use case form"),
        ("http_400", "data retention mode 'default' is not available for this model", "data_retention", "opted in"),
    ],
)
def test_what_the_account_has_not_agreed_to_is_shown_with_the_key(
    stack: Any, fault: str, message: str, named: str, shown: str
) -> None:
    developer = stack.developer("bedrock_only", bedrock="")
    key = attach(stack, developer, FIRST)
    stack.bedrock.fault(fault, match={"model": OPUS}, message=message)
    assert ask(developer, model=OPUS).json["error"]["message"] == message
    assert await_true(lambda: _health(stack, key) is KeyHealth.LIMITED)
    [listed] = [each for each in stack.product.cli("bedrock-key", "list") if each["id"] == key]
    assert listed["health"] == "limited"
    assert listed["reason"].startswith(f"global.anthropic.{OPUS}: ")
    assert shown in listed["reason"]
    assert (_told(stack, key), ask(developer).came_from_bedrock("")) == ([named], True)


def test_a_denied_model_is_not_asked_for_again_at_once_when_the_plan_has_answered(stack: Any) -> None:
    developer = stack.developer(bedrock="")
    attach(stack, developer, FIRST)
    stack.anthropic.fault("overloaded")
    stack.bedrock.fault("access_denied", match={"model": OPUS})
    answers = [ask(developer, model=OPUS) for _ in range(3)]
    assert [(each.status, each.provider) for each in answers] == [(529, "plan")] * 3
    assert len(_asked(stack)) == 2, "each id once"


def test_no_secret_of_a_bedrock_key_is_in_the_log(stack: Any) -> None:
    developer = stack.developer("bedrock_only", bedrock="bedrock-expired-marked-secret")
    ask(developer)
    stack.bedrock.fault("http_400", message="the key bedrock-expired-marked-secret")
    ask(developer)
    assert "marked-secret" not in stack.product.log_path.read_text()
