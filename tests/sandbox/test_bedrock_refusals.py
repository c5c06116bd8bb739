"""What Bedrock refuses, by model and field, in its own words."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.bedrock_refusals import refuse
from sandbox.conversation import Invalid
from tests.sandbox.submissions import marked, submission, text, user

TOOL = {"name": "Bash", "input_schema": {"type": "object"}}
EXTRA = "Extra inputs are not permitted"
C0 = "messages.0.content.0"
R0 = "messages.2.content.0.tool_result.content.0"
DEFINED = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": TOOL}}
FOUND = {"type": "tool_search_tool_result", "content": {"tool_references": [{"tool_name": "x"}]}}
EPHEMERAL = {"type": "ephemeral"}
BUDGET = {"type": "enabled", "budget_tokens": 2000}
REDACTED = {"type": "redacted_thinking", "data": "x"}
CLEAR_THINKING = {"type": "clear_thinking_20251015"}
HELLO = {"role": "user", "content": "hello"}


def result(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    use = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}
    content = [{"type": "tool_result", "tool_use_id": "t1", "content": list(blocks)}]
    return [*user(text()), {"role": "assistant", "content": [use]}, {"role": "user", "content": content}]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    # fields of the envelope
    ("opus-5-5", {"model": "claude-opus-5-5"}, f"model: {EXTRA}"),
    ("opus-5-5", {"stream": True}, f"stream: {EXTRA}"),
    ("opus-5-5", {"anthropic_version": None}, "anthropic_version: Field required"),
    ("opus-5-5", {"anthropic_version": "2023-06-01"}, "anthropic_version: Input should be"),
    ("sonnet-4-6", {"anthropic_version": "2026-10-21"}, "anthropic_version: Input should be"),
    ("opus-5-5", {"max_tokens": None}, "max_tokens: Field required"),
    *[("sonnet-5", {name: {}}, f"{name}: {EXTRA}") for name in ("speed", "service_tier", "container", "mcp_servers")],
    ("sonnet-5", {"metadata": {"user_id": "x", "team": "y"}}, f"metadata.team: {EXTRA}"),
    ("sonnet-4-6", {"cache_control": {"type": "ephemeral"}}, f"cache_control: {EXTRA}"),
    # flags
    ("sonnet-4-5", {"anthropic_beta": ["prompt-caching-scope-2026-01-05"]}, "invalid beta flag"),
    ("sonnet-4-5", {"anthropic_beta": ["thinking-token-count-2026-05-13"]}, "invalid beta flag"),
    ("opus-4-7", {"anthropic_beta": ["claude-code-20250219"]}, "Unexpected value(s) `claude-code-20250219`"),
    ("opus-5-5", {"anthropic_beta": ["advisor-tool-2026-03-01"]}, "Unexpected value(s) `advisor-tool-2026-03-01`"),
    ("opus-5-5", {"anthropic_beta": "effort-2025-11-24"}, "anthropic_beta: Input should be a valid list"),
    # fields without the flag that opens them
    ("opus-5-5", {"context_management": {"edits": []}}, f"context_management: {EXTRA}"),
    ("opus-5-5", {"safeguards": []}, f"safeguards: {EXTRA}"),
    ("opus-5-5", {"messages": [HELLO | {"output_config": {}}]}, f"messages.0.output_config: {EXTRA}"),
    ("opus-5-5", {"messages": user({"type": "tool_addition"})}, f"{C0}: Input tag 'tool_addition' found"),
    ("opus-5-5", {"messages": user({"type": "tool_removal"})}, f"{C0}: Input tag 'tool_removal' found"),
    ("opus-5-5", {"thinking": {"type": "adaptive", "display": "updates"}}, "thinking.adaptive.display: Input"),
    ("opus-5-5", {"thinking": {"type": "adaptive", "block_binding": {}}}, f"thinking.adaptive.block_binding: {EXTRA}"),
    ("sonnet-4-5", {"tools": [TOOL, TOOL | {"name": "b", "defer_loading": True}]}, f"tools.1.custom.defer_loading: {EXTRA}"),
    ("opus-5-5", {"tools": [TOOL | {"input_examples": []}]}, f"tools.0.custom.input_examples: {EXTRA}"),
    ("opus-5-5", {"system": [text() | {"odd": 1}]}, f"system.0.text.odd: {EXTRA}"),
    # a flag does not help a model that lacks the field
    (
        "sonnet-5",
        {"anthropic_beta": ["per-turn-control-2026-07-01"], "messages": [HELLO | {"output_config": {}}]},
        "Unexpected value(s) `per-turn-control-2026-07-01`",
    ),
    # cache marks
    ("opus-5-5", {"system": [marked(scope="global")]}, f"system.0.cache_control.ephemeral.scope: {EXTRA}"),
    ("opus-4-1", {"system": [marked(ttl="1h")]}, f"system.0.cache_control.ephemeral.ttl: {EXTRA}"),
    ("opus-5-5", {"system": [marked(ttl="2h")]}, "system.0.cache_control.ephemeral.ttl: Input should be '5m' or '1h'"),
    ("opus-5-5", {"messages": user(*[marked() for _ in range(5)])}, "A maximum of 4 blocks with cache_control"),
    ("opus-5-5", {"system": [marked()], "messages": user(marked(ttl="1h"))}, f"{C0}.text.cache_control.ttl: a ttl"),
    ("opus-5-5", {"messages": result(marked(scope="x"))}, f"{R0}.cache_control"),
    # tools
    ("opus-5-5", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0: tool type 'web_search"),
    ("opus-5-5", {"tools": [{"type": "advisor_20260301", "name": "advisor"}]}, "tools.0: tool type 'advisor"),
    ("opus-5-5", {"tools": [TOOL | {"strict": True}]}, f"tools.0.custom.strict: {EXTRA}"),
    ("sonnet-4-5", {"tools": [TOOL | {"eager_input_streaming": True}]}, f"tools.0.custom.eager_input_streaming: {EXTRA}"),
    ("opus-5-5", {"tools": [TOOL | {"anything": 1}]}, f"tools.0.custom.anything: {EXTRA}"),
    ("opus-5-5", {"tools": [TOOL | {"defer_loading": True}]}, "At least one tool must have defer_loading=false."),
    ("sonnet-5", {"tools": [{"type": "computer_20251124", "name": "computer"}]}, "tools.0: tool type 'computer_20251124'"),
    ("opus-4-8", {"tools": [TOOL | {"eager_input_streaming": True}]}, f"tools.0.custom.eager_input_streaming: {EXTRA}"),
    ("opus-5-5", {"tool_choice": {"type": "auto"}}, "tool_choice may only be specified while providing tools."),
    ("opus-5-5", {"tools": [TOOL], "tool_choice": {"type": "any"}}, "tool_choice: 'any' is not supported"),
    ("sonnet-5", {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "Tool 'x' not found in provided tools"),
    # blocks
    ("opus-5-5", {"messages": user({"type": "server_tool_use", "name": "web_search"})}, f"{C0}: Input tag 'server"),
    ("opus-5-5", {"messages": user({"type": "web_search_tool_result"})}, f"{C0}: Input tag 'web"),
    ("opus-5-5", {"messages": user({"type": "image", "source": {"type": "url"}})}, f"{C0}.image.source: Input"),
    ("opus-5-5", {"messages": user({"type": "document", "source": {"type": "file"}})}, f"{C0}.document.source: Input"),
    ("opus-4-1", {"messages": result({"type": "tool_reference", "tool_name": "Bash"})}, f"{R0}: Input"),
    ("opus-5-5", {"messages": result({"type": "tool_reference", "tool_name": "x"})}, f"{R0}: Tool ref"),
    ("opus-5-5", {"messages": [{"role": "user", "content": []}]}, "messages.0: all messages must have non-empty content"),
    ("opus-5-5", {"messages": user(text(""))}, "messages: text content blocks must be non-empty"),
    ("sonnet-4-6", {"messages": [*user(text()), {"role": "system", "content": "x"}]}, "messages.1.role: Input"),
    ("sonnet-4-6", {"messages": [*user(text()), {"role": "assistant", "content": "x"}]}, "This model does not support assistant"),
    ("opus-5-5", {"messages": user(text(caller={"type": "direct"}))}, f"{C0}.text.caller: {EXTRA}"),
    ("opus-5-5", {"messages": user(FOUND)}, f"{C0}: Tool reference 'x' not found"),
    (
        "opus-5-5",
        {"anthropic_beta": ["mid-conversation-tool-changes-2026-07-01"], "messages": user(DEFINED)},
        f"{C0}.tool_addition.tool: Input tag 'tool_definition'",
    ),
    ("3-haiku-20240307", {"max_tokens": 9, "messages": user(REDACTED)}, f"{C0}: Input tag 'redacted_thinking'"),
    ("opus-5-5", {"max_tokens": 128_001}, "max_tokens: 128001 > 128000, which is the maximum allowed number of output tokens"),
    ("opus-4-8", {"anthropic_beta": ["afk-mode-2026-01-31"]}, "Unexpected value(s) `afk-mode-2026-01-31`"),
    ("opus-4-5", {"anthropic_beta": ["compact-2026-01-12"]}, "invalid beta flag"),
    ("opus-5-5", {"cache_control": EPHEMERAL, "messages": user(*[marked() for _ in range(4)])}, "A maximum of 4 blocks"),
    # thinking, effort, sampling, structured output
    ("opus-4-1", {"thinking": BUDGET | {"display": "omitted"}}, f"thinking.enabled.display: {EXTRA}"),
    ("opus-5-5", {"thinking": {"type": "adaptive", "budget_tokens": 2000}}, f"thinking.adaptive.budget_tokens: {EXTRA}"),
    ("sonnet-4-5", {"thinking": BUDGET, "top_k": 5}, "`top_k` must be unset"),
    ("sonnet-4-5", {"thinking": BUDGET, "top_p": 0.5}, "`top_p` must be greater than"),
    (
        "opus-5-5",
        {"anthropic_beta": ["context-management-2025-06-27"], "context_management": {"edits": [CLEAR_THINKING]}},
        "`clear_thinking_20251015` strategy requires `thinking`",
    ),
    (
        "sonnet-5",
        {"thinking": {"type": "adaptive"}, "tools": [TOOL], "tool_choice": {"type": "any"}},
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    ("opus-4-7", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, '"thinking.type.enabled" is not'),
    ("sonnet-4-5", {"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported on this model"),
    ("opus-5-5", {"thinking": {"type": "disabled"}}, '"thinking.type.disabled" is not'),
    ("fable-5-1", {"thinking": {"type": "disabled"}}, '"thinking.type.disabled" is not'),
    ("opus-5", {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}}, '"thinking.type.disabled" is not'),
    ("sonnet-4-5", {"thinking": {"type": "enabled", "budget_tokens": 5000}}, "`max_tokens` must be greater than"),
    ("sonnet-4-5", {"thinking": {"type": "enabled", "budget_tokens": 9}}, "thinking.enabled.budget_tokens: Input"),
    ("sonnet-4-5", {"output_config": {"effort": "high"}}, "This model does not support the effort"),
    ("opus-4-5", {"output_config": {"effort": "high"}}, "This model does not support the effort"),
    ("opus-4-6", {"output_config": {"effort": "xhigh"}}, "output_config.effort: Input should be 'low'"),
    ("opus-5-5", {"output_config": {"format": {}}}, f"output_config.format: {EXTRA}"),
    ("sonnet-4-6", {"output_config": {"task_budget": {}}}, f"output_config.task_budget: {EXTRA}"),
    ("opus-4-7", {"temperature": 0.5}, "`temperature` is deprecated for this model."),
    ("haiku-5-5", {"top_k": 5}, "`top_k` is deprecated for this model."),
    (
        "sonnet-4-5",
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "messages": result(text())},
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`",
    ),
    # values of types that nobody expects
    ("opus-5-5", {"tools": [TOOL], "tool_choice": 7, "metadata": 7}, "Malformed input request"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "changes", "message"), REFUSED)
def test_bedrock_refuses(model: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        refuse(submission(model, **changes))
    assert str(caught.value).startswith(message)


SERVED: list[tuple[str, dict[str, Any]]] = [
    ("opus-5-5", {"metadata": {"user_id": '{"device_id":"x{}<>"}'}}),
    ("opus-5-5", {"anthropic_version": "2026-10-21"}),
    ("opus-5-5", {"cache_control": {"type": "ephemeral"}}),
    ("sonnet-4-5", {"system": [marked(ttl="1h")], "temperature": 0.2}),
    ("opus-5-5", {"temperature": 1}),
    ("opus-5-5", {"messages": [*user(text()), {"role": "system", "content": "x"}]}),
    ("opus-5-5", {"anthropic_beta": ["context-management-2025-06-27"], "context_management": {"edits": []}}),
    ("opus-5-5", {"anthropic_beta": ["dangerous-tool-use-2026-09-03"], "safeguards": []}),
    (
        "sonnet-5-5",
        {"anthropic_beta": ["per-turn-control-2026-07-01"], "messages": [HELLO | {"output_config": {}}]},
    ),
    (
        "sonnet-4-5",
        {"anthropic_beta": ["tool-search-tool-2025-10-19"], "tools": [TOOL, TOOL | {"name": "b", "defer_loading": True}]},
    ),
    ("sonnet-5", {"tools": [TOOL, TOOL | {"name": "b", "defer_loading": True}]}),
    ("sonnet-4-5", {"tools": [TOOL | {"strict": True}]}),
    ("opus-4-5", {"anthropic_beta": ["effort-2025-11-24"], "output_config": {"effort": "high"}}),
    ("opus-5-5", {"output_config": {"effort": "xhigh"}}),
    ("sonnet-5-5", {"thinking": {"type": "between_tools"}}),
    ("opus-5", {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}),
    ("sonnet-4-5", {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}),
    ("haiku-5-5", {"tools": [TOOL], "tool_choice": {"type": "any"}}),
    ("opus-5-5", {"messages": result({"type": "tool_reference", "tool_name": "Bash"}), "tools": [TOOL]}),
    ("sonnet-4-5", {"messages": [*user(text()), {"role": "assistant", "content": "Once"}]}),
    (
        "opus-5-5",
        {
            "anthropic_beta": [
                "interleaved-thinking-2025-05-14",
                "tool-search-tool-2025-10-19",
                "thinking-token-count-2026-05-13",
            ],
            "tools": [TOOL, TOOL | {"name": "DeferredToolPlaceholder", "defer_loading": True}],
            "thinking": {"type": "adaptive", "display": "omitted"},
            "output_config": {"effort": "medium"},
            "system": [text("x-anthropic-billing-header: cc_version=1; cc_entrypoint=cli;"), marked(), marked()],
            "messages": [*user(text(), text()), {"role": "system", "content": [marked()]}],
        },
    ),
]


@pytest.mark.parametrize(("model", "changes"), SERVED)
def test_bedrock_serves(model: str, changes: dict[str, Any]) -> None:
    refuse(submission(model, **changes))


def test_government_regions_refuse_the_billing_block() -> None:
    system = [text("x-anthropic-billing-header: cc_version=1;")]
    refuse(submission("sonnet-5", system=system))
    with pytest.raises(Invalid, match="reserved keyword"):
        refuse(submission("sonnet-5", prefix="us-gov", system=system))
