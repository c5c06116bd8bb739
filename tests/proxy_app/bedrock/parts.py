"""Requests put together at random from every part that clients are known to send: for the properties of the repair.

Knows names and shapes, and how a conversation holds together (calls are answered, a user speaks last); refuses to know
which model takes what. A model's text is never empty here, since no upstream takes that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

FLAG_NAMES = (
    "claude-code-20250219 interleaved-thinking-2025-05-14 thinking-token-count-2026-05-13 mid-conversation-system-2026-04-07"
    " per-turn-control-2026-07-01 mid-conversation-output-config-2026-07-01 mid-conversation-tool-changes-2026-07-01"
    " effort-2025-11-24 afk-mode-2026-01-31 inline-tools-2026-09-15 thinking-display-updates-2026-08-18"
    " context-management-2025-06-27 dangerous-tool-use-2026-09-03 tool-search-tool-2025-10-19 advanced-tool-use-2025-11-20"
    " tool-examples-2025-10-29 thinking-binding-controls-2026-08-01 structured-outputs-2025-12-15 structured-outputs-2025-11-13"
    " fallback-credit-2026-06-01 fallback-credit-2026-07-01 prompt-caching-scope-2026-01-05 advisor-tool-2026-03-01"
    " redact-thinking-2026-02-12 computer-use-2024-10-22 computer-use-2025-01-24 context-1m-2025-08-07"
    " fine-grained-tool-streaming-2025-05-14 output-128k-2025-02-19 token-efficient-tools-2025-02-19"
    " dev-full-thinking-2025-05-14 mcp-client-2025-04-04 mcp-client-2025-11-20 model-context-window-exceeded-2025-08-26"
    " pdfs-2024-09-25 search-results-2025-06-09 token-counting-2024-11-01 web-search-2025-03-05 computer-use-2025-11-24"
    " compact-2026-01-12 compact-2026-09-04 prompt-caching-2024-07-31 extended-cache-ttl-2025-04-11 files-api-2025-04-14"
    " code-execution-2025-05-22 memory-2025-08-18 code-execution-2025-08-25 fast-mode-2026-02-01 skills-2025-10-02"
    " web-fetch-2025-09-10 mcp-servers-2025-12-04 oauth-2025-04-20 message-threads-2026-08-01 cache-diagnosis-2026-08-01"
    " mid-conversation-system-clear-at-2026-08-01"
)
FLAGS = FLAG_NAMES.split()

CACHE = st.sampled_from(
    [{"type": "ephemeral", **more} for more in ({}, {"ttl": "5m"}, {"ttl": "1h"}, {"scope": "global"})]
)  # fmt: skip
EFFORTS = st.sampled_from(("low", "medium", "high", "max", "xhigh"))
WORDS = st.sampled_from(("hello", "look at this", "and now?"))
SCHEMAS = st.sampled_from([{"type": "object", "properties": {}}, {"properties": {}}, {"type": "custom"}])
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}, "title": "Plan"}


@st.composite
def marked(draw: st.DrawFn, block: Json) -> Json:
    """A block, now and then with a cache breakpoint."""
    return {**block, "cache_control": draw(CACHE)} if draw(st.integers(0, 4)) == 0 else block


def optional(fields: dict[str, st.SearchStrategy[Any]], **fixed: Any) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({name: st.just(value) for name, value in fixed.items()}, optional=fields)


BINDING = st.just({"prefix_mismatch_behavior": "drop_block"})
SHORT, LONG = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
BILLING = {"type": "text", "text": "x-anthropic-billing-header: cc_version=1;"}
FORMAT = {"type": "json_schema", "schema": {"type": "object"}}
THINKING = st.one_of(
    optional(
        {"display": st.sampled_from(("omitted", "summarized", "updates")), "block_binding": BINDING},
        type=mode,
    )
    for mode in ("adaptive", "between_tools")
) | optional(
    {"display": st.sampled_from(("omitted", "updates"))} | {"budget_tokens": st.sampled_from((1024, 3000, 31999))}, type="enabled"
) | st.just({"type": "disabled"})  # fmt: skip
OUTPUT = optional(
    {"effort": EFFORTS, "task_budget": st.just({"total": 9}), "format": st.just(FORMAT)}
)  # fmt: skip
EDITS = st.sampled_from(["clear_tool_uses_20250919", "clear_thinking_20251015", "compact_20260112", "clear_all_20270101"])
TOP_LEVEL: dict[str, st.SearchStrategy[Any]] = {
    "thinking": THINKING,
    "output_config": OUTPUT,
    "output_format": st.just(FORMAT),
    "context_management": st.none()
    | st.builds(lambda kinds: {"edits": [{"type": kind} for kind in kinds]}, st.lists(EDITS, max_size=3, unique=True)),
    "safeguards": st.just([{"type": "dangerous_tool_use"}]),
    "metadata": st.just({"user_id": '{"device_id":"d","account_uuid":"","session_id":"s"}'}),
    "temperature": st.sampled_from((0.2, 1)),
    "top_p": st.sampled_from((0.5, 0.97)),
    "top_k": st.just(5),
    "stop_sequences": st.just(["END"]),
    "cache_control": CACHE,
    "system": st.sampled_from(
        [
            "Be brief.",
            [BILLING, {"type": "text", "text": "You", "cache_control": SHORT}],
            [{"type": "text", "text": "You", "cache_control": LONG | {"scope": "global"}}],
            [{"type": "text", "text": "You", "of_next_year": 1}, {"type": "brand_new_block", "text": "from next year"}],
        ]
    ),
    "speed": st.just("fast"),
    "service_tier": st.just("auto"),
    "container": st.just("c"),
    "mcp_servers": st.just([{"type": "url", "url": "https://example.com", "name": "m"}]),
    "inference_geo": st.just("us"),
    "fallbacks": st.just([]),
    "message_thread": st.just({}),
    "model": st.just("claude-opus-5-5"),
    "stream": st.just(True),
}  # fmt: skip

CUSTOM_TOOL = st.fixed_dictionaries(
    {"name": st.sampled_from(("Bash", "Read", "Later")), "input_schema": SCHEMAS},
    optional={
        "description": st.just("does"),
        "type": st.just("custom"),
        "defer_loading": st.just(True),
        "strict": st.just(True),
        "eager_input_streaming": st.just(True),
        "input_examples": st.just([{}]),
        "allowed_callers": st.just(["direct"]),
        "cache_control": CACHE,
    },
)
TOOL_TYPES = (
    "bash_20250124 text_editor_20250728 memory_20250818 computer_20250124 computer_20251124 tool_search_tool_regex_20251119"
    " tool_search_tool_bm25_20251119 web_search_20250305 web_fetch_20250910 code_execution_20250825 advisor_20260301"
    " mcp_toolset bash_20241022"
)
TYPED_TOOL = st.sampled_from(TOOL_TYPES.split()).map(lambda kind: {"type": kind, "name": kind.rpartition("_")[0] or kind})
TOOLS = st.lists(CUSTOM_TOOL | TYPED_TOOL, max_size=5, unique_by=lambda tool: tool["name"])

USER_BLOCKS = st.sampled_from(
    [
        {"type": "text", "text": "hello"},
        IMAGE,
        PDF,
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
        {"type": "container_upload", "file_id": "file_1"},
    ]
)
RESULT_CONTENTS = st.sampled_from(
    [
        "done",
        [{"type": "text", "text": "done"}, IMAGE],
        [{"type": "tool_reference", "tool_name": "Later"}],
        [{"type": "image", "source": {"type": "url", "url": "https://example.com"}}],
    ]
)
THOUGHTS = st.sampled_from(
    [{"type": "thinking", "thinking": "hm", "signature": "of-another-platform"}, {"type": "redacted_thinking", "data": "x"}]
)
SERVER_WORK = st.sampled_from(
    [
        [
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"title": "A", "url": "u"}]},
        ],
        [
            {"type": "server_tool_use", "id": "s2", "name": "tool_search_tool_regex", "input": {"query": "x"}},
            {"type": "tool_search_tool_result", "tool_use_id": "s2", "content": {"tool_references": [{"tool_name": "Later"}]}},
        ],
        [{"type": "mcp_tool_use", "id": "m", "name": "find", "input": {}}, {"type": "mcp_tool_result", "content": []}],
        [{"type": "compaction", "content": "we did x"}],
        [{"type": "brand_new_block", "text": "from next year"}],
    ]
)  # fmt: skip
REFERENCE = st.sampled_from(("Bash", "Later", "web_search")).map(lambda name: {"type": "tool_reference", "name": name})
DEFINITION = CUSTOM_TOOL.map(lambda tool: {"type": "tool_definition", "definition": {**tool, "name": "New"}})
CHANGES = st.builds(lambda tool: {"type": "tool_addition", "tool": tool}, REFERENCE | DEFINITION) | st.builds(
    lambda tool: {"type": "tool_removal", "tool": tool}, REFERENCE
)


@dataclass(frozen=True, slots=True)
class Request:
    body: Json
    betas: tuple[str, ...]


@st.composite
def exchanges(draw: st.DrawFn, number: int) -> list[Json]:
    """What the assistant says and how it is answered."""
    said: list[Json] = [draw(THOUGHTS)] if draw(st.booleans()) else []
    said += draw(st.sampled_from(([], [{"type": "text", "text": "well"}])))
    said += draw(SERVER_WORK) if draw(st.integers(0, 3)) == 0 else []
    calls = [f"toolu_{number}_{index}" for index in range(draw(st.integers(0, 2)))]
    caller = {"caller": {"type": "direct"}} if draw(st.booleans()) else {}
    said += [{"type": "tool_use", "id": call, "name": "Bash", "input": {}, **caller} for call in calls]
    results = [draw(marked({"type": "tool_result", "tool_use_id": call, "content": draw(RESULT_CONTENTS)})) for call in calls]
    answer = [*results, *draw(st.lists(USER_BLOCKS.flatmap(marked), min_size=0 if results else 1, max_size=2))]
    notes = draw(st.lists(notes_to_the_model(), max_size=2))
    spoken = [{"role": "assistant", "content": said or [{"type": "text", "text": "yes"}]}, {"role": "user", "content": answer}]
    return [spoken[0], *notes[:1], spoken[1], *notes[1:]]


@st.composite
def notes_to_the_model(draw: st.DrawFn) -> Json:
    """A message of `role: "system"`."""
    content: Any = draw(
        st.just("remember") | st.lists(marked({"type": "text", "text": "remember"}) | CHANGES, min_size=1, max_size=2)
    )
    extra = draw(st.sampled_from(({}, {"output_config": {"effort": "low"}}, {"clear_at": "next_user_message"})))
    return {"role": "system", "content": content, **extra}


@st.composite
def conversations(draw: st.DrawFn) -> list[Json]:
    first: Any = draw(WORDS | st.lists(USER_BLOCKS.flatmap(marked), min_size=1, max_size=3))
    messages: list[Json] = [{"role": "user", "content": first}]
    for number in range(draw(st.integers(0, 3))):
        messages += draw(exchanges(number))
    return messages


@st.composite
def requests(draw: st.DrawFn) -> Request:
    body: Json = {"max_tokens": draw(st.sampled_from((1, 1025, 4096, 200_000))), "messages": draw(conversations())}
    for name in draw(st.lists(st.sampled_from(sorted(TOP_LEVEL)), max_size=8, unique=True)):
        body[name] = draw(TOP_LEVEL[name])
    tools = draw(TOOLS)
    if tools:
        body["tools"] = tools
        names = [tool["name"] for tool in tools]
        choices = [{"type": "auto"}, {"type": "none"}, {"type": "any"}, *({"type": "tool", "name": name} for name in names)]
        if draw(st.booleans()):
            body["tool_choice"] = draw(st.sampled_from(choices))
    return Request(body, tuple(draw(st.lists(st.sampled_from(FLAGS), max_size=14, unique=True))))
