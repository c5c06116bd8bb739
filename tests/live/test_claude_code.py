"""The real Claude Code CLI through the proxy: whatever the Plan does, the answer comes, with no error shown."""

from __future__ import annotations

import threading
from typing import Any

import pytest

PLAN_SAYS = "Hello from Anthropic"
BEDROCK_SAYS = "Hello from Bedrock"

FAULTS = [
    pytest.param("plan_exhausted", {}, "plan_exhausted", True, id="account window used up, OAuth login"),
    pytest.param("throttle", {}, "plan_throttled", False, id="429 throttle"),
    pytest.param("overloaded", {}, "plan_overloaded", False, id="529"),
    pytest.param("error_500", {}, "plan_error", False, id="500"),
    pytest.param("first_event_error", {"type": "overloaded_error"}, "plan_overloaded", False, id="first event is error"),
    pytest.param("hang", {"s": 60}, "plan_timeout", False, id="hang before the first byte"),
]


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {"PROXY_FIRST_BYTE_TIMEOUT_S": "2"}


def test_a_plain_run_is_answered_by_the_plan(stack: Any, claude_code: Any) -> None:
    developer = stack.developer()
    ran = claude_code(developer.base_url, "say hi")
    assert (ran.exit_code, PLAN_SAYS in ran.stdout) == (0, True), ran
    assert len(stack.plan_posts()) == 1
    assert stack.bedrock_posts() == []


def test_a_tool_round_trip_works_on_the_plan(stack: Any, claude_code: Any) -> None:
    developer = stack.developer()
    ran = claude_code(developer.base_url, "use-tool:Bash:echo tool-$((20+3))", "--allowedTools", "Bash")
    assert (ran.exit_code, "tool-23" in ran.stdout) == (0, True), ran
    assert len(stack.plan_posts()) == 2


def test_a_tool_round_trip_works_on_bedrock(stack: Any, claude_code: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded")
    ran = claude_code(developer.base_url, "use-tool:Bash:echo tool-$((20+3))", "--allowedTools", "Bash")
    assert (ran.exit_code, "tool-23" in ran.stdout) == (0, True), ran
    assert len(stack.bedrock_posts()) == 2


@pytest.mark.parametrize(("fault", "arguments", "named", "oauth"), FAULTS)
def test_whatever_the_plan_does_bedrock_answers_and_nothing_is_shown(
    stack: Any, claude_code: Any, fault: str, arguments: dict[str, Any], named: str, oauth: bool
) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, **arguments)
    ran = claude_code(developer.base_url, "say hi", oauth=oauth)
    assert (ran.exit_code, BEDROCK_SAYS in ran.stdout, "Error" in ran.stdout) == (0, True, False), ran
    lines = _messages_of(stack, developer)
    assert [(line["provider"], line["fault"], line["status"]) for line in lines] == [("bedrock", named, 200)]


def test_a_plan_that_refuses_connections_is_not_noticed(stack: Any, claude_code: Any) -> None:
    developer = stack.developer()
    stack.anthropic.listen(False)
    ran = claude_code(developer.base_url, "say hi")
    assert (ran.exit_code, BEDROCK_SAYS in ran.stdout) == (0, True), ran
    assert [line["fault"] for line in _messages_of(stack, developer)] == ["plan_unreachable"]


def test_a_stream_that_is_cut_in_mid_text_recovers(stack: Any, claude_code: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("cut_midstream", times=1, after=5, how="rst")
    ran = claude_code(developer.base_url, "say hi")
    assert (ran.exit_code, PLAN_SAYS in ran.stdout) == (0, True), ran
    faults = [line["fault"] for line in _messages_of(stack, developer)]
    assert faults[0] == "stream_broken"
    assert faults[-1] == ""


def test_a_bad_access_key_costs_one_post_and_shows_our_message(stack: Any, claude_code: Any) -> None:
    developer = stack.developer()
    wrong = developer.base_url[:-1] + ("a" if developer.base_url[-1] != "a" else "b")
    before = len(_refusals(stack))
    ran = claude_code(wrong, "say hi")
    assert ran.exit_code == 1
    assert "claude-code-proxy: this access key is not valid" in ran.stdout
    assert len(_refusals(stack)) == before + 1


def test_a_request_that_is_not_streamed_is_answered_by_either_upstream(stack: Any) -> None:
    developer = stack.developer()
    body = {"model": "claude-sonnet-5-5", "max_tokens": 50, "stream": False, "messages": [{"role": "user", "content": "hi"}]}
    from_plan = _post(developer.base_url, body)
    stack.anthropic.fault("overloaded")
    from_bedrock = _post(developer.base_url, body)
    assert PLAN_SAYS in from_plan["content"][0]["text"]
    assert BEDROCK_SAYS in from_bedrock["content"][0]["text"]
    assert from_bedrock["type"] == "message"


def test_twenty_seven_concurrent_counts_are_answered_with_the_plan_up_and_down(stack: Any) -> None:
    developer = stack.developer()
    body = {"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "count me " * 50}]}
    up = _at_once(27, lambda: _post(developer.base_url, body, "/v1/messages/count_tokens?beta=true"))
    stack.anthropic.fault("overloaded")
    down = _at_once(27, lambda: _post(developer.base_url, body, "/v1/messages/count_tokens?beta=true"))
    assert [answer["input_tokens"] > 0 for answer in up + down] == [True] * 54


def _messages_of(stack: Any, developer: Any) -> list[dict[str, Any]]:
    contexts = (line["context"] for line in stack.product.access_lines())
    return [each for each in contexts if each.get("user_id") == developer.user_id and each.get("endpoint") == "messages"]


def _refusals(stack: Any) -> list[dict[str, Any]]:
    return [line for line in stack.product.access_lines() if line["context"].get("status") == 403]


def _post(base_url: str, body: dict[str, Any], path: str = "/v1/messages") -> Any:
    import json
    import urllib.request

    headers = {"content-type": "application/json", "x-api-key": "sk-ant-sandbox", "anthropic-version": "2023-06-01"}
    request = urllib.request.Request(base_url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _at_once(count: int, work: Any) -> list[Any]:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
