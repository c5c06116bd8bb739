"""Which tools and which of their fields go out."""

from __future__ import annotations

from typing import Any

import pytest

from proxy_app.bedrock.repair import CannotServe

OLD = "claude-sonnet-4-5"
BASH = {"name": "Bash", "description": "runs", "input_schema": {"type": "object"}}
EPHEMERAL = {"type": "ephemeral"}


def test_a_server_tool_goes_and_its_breakpoint_moves_back(bench: Any) -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "cache_control": EPHEMERAL}
    repaired = bench(tools=[BASH, search])
    assert repaired.body["tools"] == [{**BASH, "cache_control": EPHEMERAL}]
    assert "dropped tool web_search_20250305" in repaired.notes


def test_tools_that_the_client_runs_stay(bench: Any) -> None:
    tools = [
        BASH,
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "edit", "max_characters": 9},
    ]
    assert bench.body(tools=tools)["tools"] == tools


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "tool", "name": "code"}])
def test_a_request_for_server_tools_only_cannot_be_served(bench: Any, choice: dict[str, Any]) -> None:
    with pytest.raises(CannotServe, match="code_execution_20250825"):
        bench(tools=[{"type": "code_execution_20250825", "name": "code"}], tool_choice=choice)


def test_a_forced_server_tool_cannot_be_served_even_beside_others(bench: Any) -> None:
    with pytest.raises(CannotServe):
        bench(tools=[BASH, {"type": "web_fetch_20250910", "name": "web"}], tool_choice={"type": "tool", "name": "web"})


def test_tool_fields_that_bedrock_refuses_go(bench: Any) -> None:
    tool = {
        **BASH,
        "strict": True,
        "eager_input_streaming": True,
        "input_examples": [{}],
        "allowed_callers": ["direct"],
        "new": 1,
    }
    assert bench.body(tools=[tool])["tools"] == [{**BASH, "eager_input_streaming": True}]
    assert bench.body(OLD, tools=[tool])["tools"] == [{**BASH, "strict": True}]


def test_examples_stay_with_their_beta(bench: Any) -> None:
    tool, beta = {**BASH, "input_examples": [{}]}, ("tool-examples-2025-10-29",)
    assert (bench(OLD, beta, tools=[tool]).body["tools"], bench(OLD, beta, tools=[tool]).betas) == ([tool], beta)


def test_where_a_tool_cannot_ask_for_early_input_a_beta_asks_for_all(bench: Any) -> None:
    repaired = bench("claude-opus-4-1", tools=[{**BASH, "eager_input_streaming": True}])
    assert (repaired.body["tools"], repaired.betas) == ([BASH], ("fine-grained-tool-streaming-2025-05-14",))


@pytest.mark.parametrize(
    ("model", "betas", "kept"), [(OLD, ("computer-use-2025-01-24",), 2), (OLD, (), 1), ("claude-opus-5-5", (), 1)]
)
def test_a_computer_tool_needs_its_beta_and_its_model(bench: Any, model: str, betas: tuple[str, ...], kept: int) -> None:
    tools = [BASH, {"type": "computer_20250124", "name": "computer"}]
    assert len(bench.body(model, betas, tools=tools)["tools"]) == kept


def test_a_tool_of_a_version_that_bedrock_does_not_run_goes(bench: Any) -> None:
    assert bench.body(tools=[BASH, {"type": "bash_20270101", "name": "bash"}])["tools"] == [BASH]


def test_not_every_tool_is_left_to_be_searched_for(bench: Any) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert bench.body(tools=[{**BASH, "defer_loading": True}, search])["tools"] == [BASH]


@pytest.mark.parametrize(
    "schema", [{}, {"input_schema": {"properties": {}}}, {"input_schema": {"type": "custom", "properties": {}}}]
)
def test_a_tool_always_has_an_object_schema(bench: Any, schema: dict[str, Any]) -> None:
    assert bench.body(tools=[{"name": "x", **schema}])["tools"][0]["input_schema"] == {"type": "object", "properties": {}}


def test_without_tool_search_every_tool_loads(bench: Any) -> None:
    tools = [{**BASH, "defer_loading": True}, {"type": "tool_search_tool_regex_20251119", "name": "find"}]
    assert bench.body("claude-fable-5-1", tools=tools)["tools"] == [BASH]


def test_a_forced_choice_becomes_an_instruction_where_it_is_refused(bench: Any) -> None:
    choice = {"type": "tool", "name": "Bash", "disable_parallel_tool_use": True}
    body = bench.body(tools=[BASH], tool_choice=choice, system="Be brief.")
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert body["system"][0]["text"] == "Be brief." and "`Bash`" in body["system"][1]["text"]
    assert bench.body(OLD, tools=[BASH], tool_choice=choice)["tool_choice"] == choice


def test_a_choice_without_tools_goes(bench: Any) -> None:
    assert "tool_choice" not in bench.body(tool_choice={"type": "auto"})
