"""What Bedrock refuses of tools, content blocks and cache marks.

Knows which tool types and block types exist there and what a beta adds; refuses to know top-level fields and HTTP.
Pure. Invariant: every block is looked at, also those inside tool results.
Sources: AWS and Anthropic documentation and published error reports, as of 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sandbox.bedrock_models import Model
from sandbox.conversation import EXTRA, Invalid, Json, Place, blocks_of, nested_blocks

TOOL_KEYS = frozenset({"name", "description", "input_schema", "type", "cache_control"})
CLIENT_TOOLS = re.compile(r"bash_20250124|text_editor_(20250124|20250429|20250728)|memory_20250818")
COMPUTER_TOOLS = {"computer_20250124": "computer-use-2025-01-24", "computer_20251124": "computer-use-2025-11-24"}
SEARCH_TOOLS = re.compile(r"tool_search_tool_(regex|bm25)(_20251119)?")
TOOL_SEARCH = "tool-search-tool-2025-10-19"
GATED_TOOL_KEYS = {"input_examples": "tool-examples-2025-10-29"}
BLOCKS = ("text", "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use", "tool_result")
THOUGHTS = ("thinking", "redacted_thinking")
RESULT_BLOCKS = ("text", "image", "search_result", "document")
SOURCES = {"image": ("base64",), "document": ("base64", "text", "content")}
INLINE_TOOLS = "inline-tools-2026-09-15"
CHANGE_BETAS = {
    "tool_addition": frozenset({INLINE_TOOLS, "mid-conversation-tool-changes-2026-07-01"}),
    "tool_removal": frozenset({"mid-conversation-tool-changes-2026-07-01"}),
}
BLOCK_KEYS = {
    "text": frozenset({"text", "citations"}),
    "image": frozenset({"source"}),
    "document": frozenset({"source", "title", "context", "citations"}),
    "search_result": frozenset({"source", "title", "content", "citations"}),
    "tool_use": frozenset({"id", "name", "input"}),
    "tool_result": frozenset({"tool_use_id", "content", "is_error"}),
}
MOST_CACHE_MARKS = 4
WRONG_ORDER = "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block."


def check_tools(model: Model, betas: frozenset[str], tools: list[Json]) -> None:
    _check_each_tool(model, betas, tools)
    if tools and all(tool.get("defer_loading") for tool in tools):
        raise Invalid("At least one tool must have defer_loading=false.")


def _check_each_tool(model: Model, betas: frozenset[str], tools: list[Json]) -> None:
    for index, tool in enumerate(tools):
        kind = tool.get("type", "custom")
        if kind == "custom":
            _check_custom_keys(model, betas, index, tool)
        elif kind in COMPUTER_TOOLS:
            if COMPUTER_TOOLS[kind] not in betas:
                raise Invalid(f"tools.{index}: tool type '{kind}' is not supported for this model")
        elif not (CLIENT_TOOLS.fullmatch(kind) or (SEARCH_TOOLS.fullmatch(kind) and _searches_tools(model, betas))):
            raise Invalid(f"tools.{index}: tool type '{kind}' is not supported for this model")


def _check_custom_keys(model: Model, betas: frozenset[str], index: int, tool: Json) -> None:
    allowed = {
        "defer_loading": _searches_tools(model, betas),
        "eager_input_streaming": model.eager_tool_input,
        "strict": model.strict_tools,
    }
    for name in tool:
        gate = GATED_TOOL_KEYS.get(name)
        if name not in TOOL_KEYS and not allowed.get(name, False) and (gate is None or gate not in betas):
            raise Invalid(f"tools.{index}.custom.{name}: {EXTRA}")


def _searches_tools(model: Model, betas: frozenset[str]) -> bool:
    return model.tool_search == "yes" or (model.tool_search == "beta" and TOOL_SEARCH in betas)


def check_blocks(model: Model, betas: frozenset[str], body: Json) -> None:
    system = body.get("system")
    for index, block in enumerate(system if isinstance(system, list) else ()):
        _check_keys(f"system.{index}.text", block)
    known = {tool.get("name") for tool in body.get("tools") or []} | _defined_tools(body)
    for path, block in blocks_of(body["messages"]):
        _check_block(model, betas, path, block)
        if block["type"] == "tool_search_tool_result":
            _check_found(path, block, known)
        for inner_path, inner in nested_blocks(path, block):
            _check_result_block(model, betas, inner_path, inner, known)


def _check_block(model: Model, betas: frozenset[str], path: str, block: Json) -> None:
    kind = block["type"]
    if kind in THOUGHTS and model.thinking == ("disabled",):
        raise _wrong_tag(path, kind, BLOCKS)
    if kind not in BLOCKS and not _is_opened(model, betas, block):
        raise _wrong_tag(path, kind, BLOCKS)
    _check_keys(f"{path}.{kind}", block)
    _check_source(f"{path}.{kind}", block)
    definition = _definition_in(block)
    if definition is not None:
        if INLINE_TOOLS not in betas:
            raise _wrong_tag(f"{path}.tool_addition.tool", "tool_definition", ("tool_reference",))
        _check_each_tool(model, betas, [definition])


def _check_found(path: str, block: Json, known: set[Any]) -> None:
    content = block.get("content")
    found = content.get("tool_references", []) if isinstance(content, dict) else []
    for reference in found:
        if reference.get("tool_name") not in known:
            raise Invalid(f"{path}: Tool reference '{reference.get('tool_name')}' not found in available tools")


def _check_keys(path: str, block: Json) -> None:
    allowed = BLOCK_KEYS.get(str(block.get("type")))
    for name in block if allowed is not None else ():
        if name not in ("type", "cache_control") and name not in (allowed or ()):
            raise Invalid(f"{path}.{name}: {EXTRA}")


def _defined_tools(body: Json) -> set[Any]:
    definitions = (_definition_in(block) for _, block in blocks_of(body["messages"]))
    return {definition.get("name") for definition in definitions if definition is not None}


def _definition_in(block: Json) -> Json | None:
    tool = block.get("tool")
    if block["type"] != "tool_addition" or not isinstance(tool, dict) or tool.get("type") != "tool_definition":
        return None
    definition = tool.get("definition")
    return definition if isinstance(definition, dict) else None


def _is_opened(model: Model, betas: frozenset[str], block: Json) -> bool:
    kind = block["type"]
    if kind in CHANGE_BETAS:
        return bool(CHANGE_BETAS[kind] & betas)
    if kind == "compaction":
        return "compact-2026-01-12" in betas
    if kind == "server_tool_use":  # of server tools only the search of tools exists here
        return bool(SEARCH_TOOLS.fullmatch(str(block.get("name")))) and _searches_tools(model, betas)
    return kind == "tool_search_tool_result" and _searches_tools(model, betas)


def _check_result_block(model: Model, betas: frozenset[str], path: str, block: Json, known: set[Any]) -> None:
    kind = block.get("type")
    if kind == "tool_reference" and _searches_tools(model, betas):
        if block.get("tool_name") not in known:
            raise Invalid(f"{path}: Tool reference '{block.get('tool_name')}' not found in available tools")
    elif kind not in RESULT_BLOCKS:
        raise _wrong_tag(path, str(kind), RESULT_BLOCKS)
    _check_keys(f"{path}.{kind}", block)
    _check_source(f"{path}.{kind}", block)


def _check_source(path: str, block: Json) -> None:
    expected = SOURCES.get(str(block.get("type")))
    source = block.get("source")
    if expected is None:
        return
    kind = source.get("type") if isinstance(source, dict) else None
    if kind not in expected:
        raise _wrong_tag(f"{path}.source", str(kind), expected)


def _wrong_tag(path: str, kind: str, expected: tuple[str, ...]) -> Invalid:
    tags = ", ".join(f"'{name}'" for name in expected)
    return Invalid(f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}")


def check_cache_marks(model: Model, body: Json) -> None:
    """At most four marks, each of a kind the model knows; longer-lived ones first."""
    marks = list(_cache_marks(body))
    shorter_seen = False
    for path, mark in marks:
        for name in mark:
            if name not in ("type", "ttl") or (name == "ttl" and not model.cache_ttl):
                raise Invalid(f"{path}.cache_control.ephemeral.{name}: {EXTRA}")
        ttl = mark.get("ttl", "5m")
        if mark.get("type") != "ephemeral":
            raise Invalid(f"{path}.cache_control: Input should be 'ephemeral'")
        if ttl not in ("5m", "1h"):
            raise Invalid(f"{path}.cache_control.ephemeral.ttl: Input should be '5m' or '1h'")
        if ttl == "1h" and shorter_seen:
            raise Invalid(f"{path}.cache_control.ttl: {WRONG_ORDER}")
        shorter_seen = shorter_seen or ttl == "5m"
    if len(marks) > MOST_CACHE_MARKS:
        raise Invalid(f"A maximum of {MOST_CACHE_MARKS} blocks with cache_control may be provided. Found {len(marks)}.")


def _cache_marks(body: Json) -> Iterator[Place]:
    """In the order in which a prompt is put together: tools, system, messages."""
    places = [(f"tools.{index}.custom", tool) for index, tool in enumerate(body.get("tools") or [])]
    system = body.get("system")
    places += [(f"system.{index}", block) for index, block in enumerate(system if isinstance(system, list) else [])]
    for path, block in blocks_of(body["messages"]):
        places.append((f"{path}.{block['type']}", block))
        places += nested_blocks(path, block)
    places.append(("automatic", body))  # for the whole request, after everything else
    for path, holder in places:
        mark = holder.get("cache_control")
        if isinstance(mark, dict):
            yield path, mark
