"""Thinking: the mode asked for, and its removal."""

from __future__ import annotations

from typing import Any

import pytest

from proxy_app.bedrock.learned import THINKING_BLOCKS, Learned
from proxy_app.bedrock.models import ModelCatalogue
from proxy_app.bedrock.repair import repair, strip_thinking

NEWEST, OLD = "claude-opus-5-5", "claude-sonnet-4-5"
BUDGETED = {"type": "enabled", "budget_tokens": 2000}
HI: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("model", "asked", "more", "thinking"),
    [
        (NEWEST, {"type": "enabled", "budget_tokens": 9000}, {}, {"type": "adaptive"}),
        (OLD, {"type": "adaptive", "display": "omitted"}, {}, {"type": "enabled", "display": "omitted", "budget_tokens": 16384}),
        (OLD, {"type": "adaptive"}, {"output_config": {"effort": "low"}}, {"type": "enabled", "budget_tokens": 2048}),
        (OLD, {"type": "adaptive"}, {"max_tokens": 3000}, {"type": "enabled", "budget_tokens": 2999}),
        (OLD, {"type": "adaptive"}, {"max_tokens": 500}, None),
        ("claude-opus-4-6", {"type": "adaptive"}, {}, {"type": "adaptive"}),
        ("claude-opus-4-6", {"type": "enabled", "budget_tokens": 2000}, {}, {"type": "enabled", "budget_tokens": 2000}),
        ("claude-3-5-haiku-latest", {"type": "enabled", "budget_tokens": 2000}, {}, None),
        (NEWEST, {"type": "disabled"}, {}, None),
        (OLD, {"type": "disabled"}, {}, {"type": "disabled"}),
        ("claude-sonnet-5-5", {"type": "disabled"}, {}, {"type": "between_tools"}),
        ("claude-sonnet-5-5", {"type": "between_tools"}, {}, {"type": "between_tools"}),
        (NEWEST, {"type": "between_tools"}, {}, {"type": "adaptive"}),
        (OLD, {"type": "between_tools"}, {}, None),
        ("claude-haiku-5-5", {"type": "disabled"}, {}, {"type": "disabled"}),
        (NEWEST, {"type": "of_next_year"}, {}, None),
        (OLD, {"type": "enabled", "budget_tokens": 10}, {}, {"type": "enabled", "budget_tokens": 1024}),
        (OLD, {"type": "enabled"}, {}, {"type": "enabled", "budget_tokens": 16384}),
        ("claude-opus-5", {"type": "disabled"}, {"output_config": {"effort": "high"}}, {"type": "disabled"}),
        ("claude-opus-5", {"type": "disabled"}, {"output_config": {"effort": "max"}}, None),
        (NEWEST, {"type": "adaptive", "display": "updates", "block_binding": {}, "new": 1}, {}, {"type": "adaptive"}),
    ],
)
def test_thinking_is_asked_for_as_the_model_knows_it(
    bench: Any, model: str, asked: dict[str, Any], more: dict[str, Any], thinking: dict[str, Any] | None
) -> None:
    assert bench.body(model, thinking=asked, **more).get("thinking") == thinking


@pytest.mark.parametrize(("begins_with_a_thought", "thinking"), [(True, BUDGETED), (False, None)])
def test_a_turn_that_waits_for_its_tools_has_a_budget_only_if_it_began_with_a_thought(
    bench: Any, begins_with_a_thought: bool, thinking: dict[str, Any] | None
) -> None:
    thought = [{"type": "thinking", "thinking": "x", "signature": "s"}] * begins_with_a_thought
    call = {"role": "assistant", "content": [*thought, {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "done"}]}
    body = bench.body(OLD, thinking=BUDGETED, messages=[*HI, call, result])
    assert body.get("thinking") == thinking


def test_a_small_budget_becomes_a_low_effort(bench: Any) -> None:
    body = bench.body(thinking={"type": "enabled", "budget_tokens": 2000})
    assert body["output_config"] == {"effort": "low"}


THOUGHT = {"type": "thinking", "thinking": "", "signature": "s"}
CALL = {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}


def test_stripping_leaves_no_thinking_and_no_empty_content() -> None:
    body = {"messages": [*HI, {"role": "assistant", "content": [THOUGHT, {"type": "redacted_thinking", "data": "x"}]}, *HI]}
    assert strip_thinking(body)["messages"][1]["content"] == [{"type": "text", "text": "(empty)"}]
    assert body["messages"][1]["content"][0] is THOUGHT


def test_thinking_mode_goes_when_the_running_turn_called_tools_without_it() -> None:
    edits = [{"type": "clear_thinking_20251015", "keep": "all"}]
    body = {
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "context_management": {"edits": edits},
        "messages": [*HI, {"role": "assistant", "content": [THOUGHT, CALL]}, RESULT],
    }
    assert strip_thinking(body).keys() == {"messages"}
    assert strip_thinking({**body, "thinking": {"type": "adaptive"}}).keys() == body.keys()


def test_thinking_mode_goes_too_where_the_block_had_been_lost_before() -> None:
    body = {"thinking": {"type": "enabled"}, "messages": [*HI, {"role": "assistant", "content": [CALL]}, RESULT]}
    assert strip_thinking(body) == {"messages": body["messages"]}


def test_a_mode_that_becomes_a_budget_goes_with_the_blocks_of_a_running_turn(catalogue: ModelCatalogue) -> None:
    messages = [*HI, {"role": "assistant", "content": [THOUGHT, CALL]}, RESULT]
    body = {"max_tokens": 8000, "thinking": {"type": "adaptive"}, "messages": messages}
    refused = Learned.nothing().with_dropped("field", THINKING_BLOCKS)
    sent = repair(body, (), catalogue.capabilities("claude-sonnet-4-5"), refused).body
    assert ("thinking" in sent, sent["messages"][1]["content"]) == (False, [CALL])


def test_a_request_without_thinking_is_the_very_same() -> None:
    body = {"thinking": {"type": "enabled"}, "messages": HI}
    assert strip_thinking(body) is body


def test_beside_a_forced_tool_there_is_no_thinking(bench: Any) -> None:
    tools = [{"name": "Bash", "input_schema": {"type": "object"}}]
    body = bench.body(OLD, tools=tools, tool_choice={"type": "any"}, thinking={"type": "enabled", "budget_tokens": 2000})
    assert "thinking" not in body
    assert body["tool_choice"] == {"type": "any"}


def test_a_running_turn_that_began_without_a_thought_goes_on_without_a_budget(bench: Any) -> None:
    messages = [*HI, {"role": "assistant", "content": [CALL]}, RESULT]
    assert "thinking" not in bench.body(OLD, thinking={"type": "adaptive"}, messages=messages)
    assert "thinking" in bench.body(NEWEST, thinking={"type": "adaptive"}, messages=messages)
