"""What the pretended Anthropic serves, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.client import Sandbox

Caller = Any
OAUTH = {"x-api-key": "", "authorization": "Bearer sk-ant-oat01-test", "anthropic-beta": "oauth-2025-04-20"}
TEXT = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "model: Field required"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"max_tokens": "7"}, "max_tokens: Input should be a valid integer"),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
        ({"nonsense": 1}, "nonsense: Extra inputs are not permitted"),
        ({"context_management": {"edits": []}}, "context_management: Extra inputs are not permitted"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0: all messages must have non-empty content"),
        ({"messages": [TEXT[0] | {"output_config": {}}]}, "messages.0.output_config: Extra inputs are not permitted"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: Input should be 'user' or 'assistant' or 'system'"),
        ({"tools": [{"name": "x", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
    ],
)
def test_a_wrong_body_is_refused_in_anthropics_words(plan: Caller, changes: dict[str, Any], message: str) -> None:
    reply = plan.ask(**changes)
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
    assert reply.json["error"]["message"].startswith(message)


def test_a_field_passes_with_the_beta_that_opens_it(plan: Caller) -> None:
    headers = {"anthropic-beta": "claude-code-20250219,context-management-2025-06-27"}
    assert plan.ask(headers=headers, context_management={"edits": []}).status == 200


@pytest.mark.parametrize(("message", "status"), [({"output_config": {"effort": "low"}}, 200), ({}, 400)])
def test_a_system_message_may_be_empty_when_it_sets_something(plan: Caller, message: dict[str, Any], status: int) -> None:
    headers = {"anthropic-beta": "claude-code-20250219,per-turn-control-2026-07-01"}
    empty = {"role": "system", "content": [], **message}
    assert plan.ask(headers=headers, messages=[*TEXT, empty, *TEXT]).status == status
    assert plan.ask(headers=headers, messages=[*TEXT, empty]).status == status


def test_a_tool_call_without_its_result_is_refused(plan: Caller) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "x", "input": {}}
    reply = plan.ask(messages=[*TEXT, {"role": "assistant", "content": [use]}, *TEXT])
    assert "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1" in reply.json["error"]["message"]


def test_a_body_that_is_no_json_is_refused(plan: Caller) -> None:
    plan.connection.request("POST", "/v1/messages", b"{", {"x-api-key": "k", "anthropic-version": "2023-06-01"})
    response = plan.connection.getresponse()
    assert (response.status, b"not valid JSON" in response.read()) == (400, True)


def test_without_a_credential_nothing_is_served(plan: Caller) -> None:
    reply = plan.ask(headers={"x-api-key": ""})
    assert (reply.status, reply.json["error"]["type"]) == (401, "authentication_error")


def test_a_version_is_required(plan: Caller) -> None:
    assert plan.ask(headers={"anthropic-version": "1999-01-01"}).status == 400


def test_a_plans_token_needs_its_beta(plan: Caller) -> None:
    assert plan.ask(headers=OAUTH | {"anthropic-beta": "claude-code-20250219"}).status == 401


def test_a_plans_answer_carries_its_windows_and_a_keys_answer_its_rates(plan: Caller) -> None:
    by_plan, by_key = plan.ask(headers=OAUTH).headers, plan.ask().headers
    assert by_plan["anthropic-ratelimit-unified-status"] == "allowed"
    assert "anthropic-ratelimit-requests-limit" not in by_plan
    assert "anthropic-ratelimit-requests-limit" in by_key
    assert "anthropic-ratelimit-unified-status" not in by_key


def test_answers_look_like_those_from_behind_anthropics_edge(plan: Caller) -> None:
    headers = plan.ask().headers
    assert headers["request-id"].startswith("req_")
    assert headers["server"] == "cloudflare"
    assert {"set-cookie", "cf-ray", "date", "anthropic-organization-id"} <= set(headers)


def test_an_unknown_model_is_not_found(plan: Caller) -> None:
    reply = plan.ask(model="gpt-9")
    assert (reply.status, reply.json["error"]) == (404, {"type": "not_found_error", "message": "model: gpt-9"})


def test_a_path_that_does_not_exist_is_not_found_in_anthropics_shape(plan: Caller) -> None:
    reply = plan.get("/v1/nonsense")
    assert (reply.status, reply.json["type"], reply.json["error"]["type"]) == (404, "error", "not_found_error")


def test_any_prefix_is_served_unless_one_is_demanded(plan: Caller, started: Any, caller_of: Any) -> None:
    strict = caller_of(started("anthropic", "--prefix", "/edge"))
    assert plan.ask("/some/prefix/v1/messages?beta=true").status == 200
    assert strict.ask("/edge/v1/messages").status == 200
    assert strict.ask("/v1/messages").status == 404


def test_probes_need_no_credential(plan: Caller) -> None:
    assert (plan.get("/api/hello", headers={}).status, plan.get("/api/hello", "HEAD", {}).status) == (200, 200)


def test_echo_tells_what_arrived(plan: Caller) -> None:
    told = plan.get("/prefix/echo/%41?x=%2F", headers={"X-Odd": "Value"}).json
    assert (told["method"], told["target"]) == ("GET", "/prefix/echo/%41?x=%2F")
    assert ["X-Odd", "Value"] in told["headers"]


def test_a_model_is_told_by_its_id_and_the_list_keeps_its_limit(plan: Caller) -> None:
    listing = plan.get("/v1/models?limit=2").json
    assert (len(listing["data"]), listing["has_more"]) == (2, True)
    assert plan.get(f"/v1/models/{listing['last_id']}").json == listing["data"][1]
    assert plan.get("/v1/models/claude-nonsense").status == 404


def test_the_quota_probe_gets_a_tiny_answer(plan: Caller) -> None:
    message = plan.ask(max_tokens=1, messages=[{"role": "user", "content": "quota"}]).json
    assert (message["usage"]["output_tokens"], message["stop_reason"]) == (1, "max_tokens")


def test_the_same_body_counts_the_same_and_another_counts_differently(plan: Caller) -> None:
    first, again, other = plan.ask().json, plan.ask().json, plan.ask(temperature=1).json
    assert first["usage"] == again["usage"]
    assert first["usage"] != other["usage"]


def test_a_structured_answer_fits_its_schema(plan: Caller) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    message = plan.ask(output_config={"format": {"type": "json_schema", "schema": schema}}).json
    assert message["content"][0]["text"] == '{"title":"Sandbox"}'


def test_a_tool_that_is_not_offered_is_not_called(plan: Caller) -> None:
    message = plan.ask(messages=[{"role": "user", "content": "use-tool:Bash:ls"}]).json
    assert message["stop_reason"] == "end_turn"


def test_a_request_that_offers_a_search_alone_is_answered_with_its_result(plan: Caller) -> None:
    message = plan.ask(tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]).json
    call, result, text = message["content"]
    assert (call["type"], call["input"], text["type"]) == ("server_tool_use", {"query": "hello"}, "text")
    assert (result["type"], result["tool_use_id"]) == ("web_search_tool_result", call["id"])


def test_totals_are_the_sum_of_what_was_answered(plan: Caller, anthropic: Sandbox) -> None:
    usages = [plan.ask(model=model).json["usage"] for model in ("claude-opus-5-5", "claude-sonnet-5-5", "claude-opus-5-5")]
    totals = anthropic.totals()
    assert totals["requests"] == 3
    assert totals["complete"]["input_tokens"] == sum(usage["input_tokens"] for usage in usages)
    assert totals["complete"]["cache_read_tokens"] == sum(usage["cache_read_input_tokens"] for usage in usages)
    assert totals["models"]["claude-sonnet-5-5"]["complete"]["output_tokens"] == usages[1]["output_tokens"]


def test_thinking_from_bedrock_is_refused_only_when_told_so(plan: Caller) -> None:
    thought = {"type": "thinking", "thinking": "x", "signature": "bedrock-claude-opus-5-5.aa.bb"}
    history = [*TEXT, {"role": "assistant", "content": [thought, {"type": "text", "text": "x"}]}, *TEXT]
    assert plan.ask(messages=history).status == 200
    refused = plan.ask(messages=history, fault="strict_thinking")
    assert refused.status == 400
    assert refused.json["error"]["message"] == "messages.1.content.0: Invalid `signature` in `thinking` block"
