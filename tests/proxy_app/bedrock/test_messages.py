"""Roles, fields and tool changes of the messages."""

from __future__ import annotations

from typing import Any

import pytest

OLD = "claude-sonnet-4-5"
HI: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
BASH = {"name": "Bash", "description": "runs", "input_schema": {"type": "object"}}
EPHEMERAL = {"type": "ephemeral"}


def test_a_system_message_joins_the_users_turn_behind_the_results(bench: Any) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "ok"}
    messages = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]},
        {"role": "system", "content": "Remember."},
        {"role": "user", "content": [result]},
        {"role": "system", "content": [{"type": "text", "text": "And this.", "cache_control": EPHEMERAL}]},
    ]
    turn = bench.body(OLD, messages=[*HI, *messages])["messages"][-1]
    assert turn["role"] == "user" and turn["content"][0] == result
    assert [block["text"].split("\n")[1] for block in turn["content"][1:]] == ["Remember.", "And this."]
    assert turn["content"][2]["cache_control"] == EPHEMERAL


def test_a_system_message_stays_where_the_model_takes_it_and_brings_its_beta(bench: Any) -> None:
    messages = [*HI, {"role": "system", "content": "Remember."}]
    repaired = bench(messages=messages)
    assert repaired.body["messages"] == messages
    assert repaired.betas == ("mid-conversation-system-2026-04-07",)


def test_a_note_for_one_turn_goes_when_the_turn_is_over(bench: Any) -> None:
    note = {"role": "system", "content": "once", "clear_at": "next_user_message"}
    kept = bench.body(messages=[*HI, note, {"role": "assistant", "content": "ok"}, *HI, note])["messages"]
    assert [message["role"] for message in kept] == ["user", "assistant", "user", "system"]
    assert "clear_at" not in kept[-1]


def test_settings_of_one_message_need_model_and_beta(bench: Any) -> None:
    messages = [
        *HI,
        {"role": "system", "content": "x", "output_config": {"effort": "low"}},
        {"role": "system", "output_config": {}},
    ]
    beta = ("per-turn-control-2026-07-01",)
    assert "output_config" in bench.body(betas=beta, messages=messages)["messages"][1]
    assert bench.body(messages=messages)["messages"] == [*HI, {"role": "system", "content": "x"}]
    assert "output_config" not in bench.body("claude-opus-5", beta, messages=messages)["messages"][1]


def test_a_tool_defined_in_mid_conversation_moves_to_the_tools(bench: Any) -> None:
    change = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {**BASH, "name": "New"}}}
    body = bench.body(OLD, tools=[BASH], messages=[*HI, {"role": "system", "content": [change]}])
    assert [tool["name"] for tool in body["tools"]] == ["Bash", "New"]
    assert body["messages"] == HI


def test_a_field_of_a_tool_that_a_message_brings_along_keeps_its_beta(bench: Any) -> None:
    definition = {**BASH, "name": "New", "input_examples": [{}]}
    change = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": definition}}
    messages = [*HI, {"role": "system", "content": [change]}]
    betas = ("inline-tools-2026-09-15", "tool-examples-2025-10-29")
    repaired = bench("claude-opus-5", betas, tools=[BASH], messages=messages)
    assert (repaired.body["messages"], set(betas) <= set(repaired.betas)) == (messages, True)


def test_tool_changes_stay_where_they_are_accepted(bench: Any) -> None:
    change = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "Bash"}}
    messages = [*HI, {"role": "system", "content": [change]}]
    assert (
        bench.body(betas=("mid-conversation-tool-changes-2026-07-01",), tools=[BASH], messages=messages)["messages"] == messages
    )
    assert bench.body(tools=[BASH], messages=messages)["messages"] == HI


def test_a_removal_needs_its_own_beta(bench: Any) -> None:
    change = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "Bash"}}
    messages = [*HI, {"role": "system", "content": [change]}]
    assert bench.body(betas=("inline-tools-2026-09-15",), tools=[BASH], messages=messages)["messages"] == HI


def test_a_tool_whose_addition_cannot_be_said_is_there_from_the_start(bench: Any) -> None:
    change = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "Later"}}
    tools = [BASH, {**BASH, "name": "Later", "defer_loading": True}]
    body = bench.body(OLD, tools=tools, messages=[*HI, {"role": "system", "content": [change]}])
    assert "defer_loading" not in body["tools"][1]


def test_only_a_note_of_the_system_ends_with_its_turn(bench: Any) -> None:
    """A user's message may hold the results of calls: without it the conversation would be refused."""
    first = {"role": "user", "content": "hi", "clear_at": "next_user_message"}
    assert bench.body(messages=[first, {"role": "assistant", "content": "ok"}, *HI])["messages"][0] == HI[0]


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-opus-4-8", "claude-sonnet-4-5"])
def test_a_system_message_that_only_sets_the_effort_of_its_turn_goes(bench: Any, model: str) -> None:
    """Claude Code sends one after `/compact`; what it says in its settings the whole request says too."""
    setting = {"role": "system", "content": [], "output_config": {"effort": "medium"}}
    betas = ("per-turn-control-2026-07-01", "mid-conversation-system-2026-04-07")
    body = bench.body(model, betas, messages=[*bench.hi, setting, {"role": "assistant", "content": "yes"}, *bench.hi])
    assert [(message["role"], bool(message["content"])) for message in body["messages"]] == [
        ("user", True), ("assistant", True), ("user", True),
    ]  # fmt: skip
