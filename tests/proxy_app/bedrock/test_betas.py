"""Fields and betas: an allowlist, in pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy_app.bedrock.models import ModelCatalogue
from proxy_app.bedrock.repair import repair

NEWEST, OLD = "claude-opus-5-5", "claude-sonnet-4-5"
HI: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
BASH = {"name": "Bash", "description": "runs", "input_schema": {"type": "object"}}
EPHEMERAL = {"type": "ephemeral"}


def test_only_known_fields_go_out(bench: Any) -> None:
    repaired = bench(model="claude-opus-5-5", speed="fast", container="c", service_tier="auto", betas=(), mcp_servers=[{}])
    assert repaired.body.keys() == {"max_tokens", "messages", "anthropic_version"}
    assert set(repaired.notes) == {"dropped speed", "dropped container", "dropped service_tier", "dropped mcp_servers"}


def test_model_and_stream_go_without_a_word(catalogue: ModelCatalogue) -> None:
    repaired = repair({"model": "x", "stream": True, "messages": HI}, (), catalogue.capabilities(NEWEST))
    assert repaired.body == {"messages": HI, "anthropic_version": "bedrock-2023-05-31"}
    assert repaired.notes == ()


def test_names_from_the_client_do_not_reach_the_notes(bench: Any) -> None:
    repaired = bench(betas=("evil\nbeta", "X" * 99), **{"a b\n": 1, "é": 2})
    assert repaired.notes == ("dropped a field", "dropped beta ?")


def test_an_unknown_beta_is_dropped_and_a_known_one_kept_once(bench: Any) -> None:
    repaired = bench(betas=("claude-code-20250219, brand-new-2027-01-01", "claude-code-20250219"))
    assert repaired.betas == ("claude-code-20250219",)
    assert repaired.notes == ("dropped beta brand-new-2027-01-01",)


def test_an_older_model_gets_no_beta_without_its_field(bench: Any) -> None:
    assert bench(OLD, ("interleaved-thinking-2025-05-14", "context-management-2025-06-27")).betas == ()


def test_a_field_without_its_beta_goes(bench: Any) -> None:
    body = bench.body(
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]}, safeguards=[{"type": "dangerous_tool_use"}]
    )
    assert not {"context_management", "safeguards"} & body.keys()


def test_a_pair_that_is_whole_stays(bench: Any) -> None:
    repaired = bench(betas=("dangerous-tool-use-2026-09-03",), safeguards=[{"type": "dangerous_tool_use"}])
    assert repaired.betas == ("dangerous-tool-use-2026-09-03",)
    assert repaired.body["safeguards"] == [{"type": "dangerous_tool_use"}]


def test_tool_search_has_its_own_name_on_bedrock(bench: Any) -> None:
    tools = [BASH, {**BASH, "name": "Later", "defer_loading": True}]
    assert bench(OLD, ("advanced-tool-use-2025-11-20",), tools=tools).betas == ("tool-search-tool-2025-10-19",)
    assert bench(OLD, ("advanced-tool-use-2025-11-20",), tools=[BASH]).betas == ()


def test_edits_of_the_context_that_the_model_lacks_go(bench: Any) -> None:
    edits = [
        {"type": "clear_tool_uses_20250919"},
        {"type": "clear_thinking_20251015"},
        {"type": "compact_20260112"},
        {"type": "new_1"},
    ]
    body = bench.body(betas=("context-management-2025-06-27",), context_management={"edits": edits})
    assert body["context_management"] == {"edits": [{"type": "clear_tool_uses_20250919"}]}


def test_a_flag_stays_behind_where_the_model_has_nothing_of_what_it_opens(bench: Any) -> None:
    able = bench.catalogue.capabilities("claude-opus-5-5")
    lacking = replace(able, features=able.features - {"messages.output_config"})
    asked = ("per-turn-control-2026-07-01",)
    sent = [repair({"max_tokens": 9, "messages": bench.hi}, asked, each).betas for each in (able, lacking)]
    assert sent == [asked, ()]
