"""What every platform demands of a conversation: roles, content, and tools that are answered.

Knows Anthropic's rules for `messages` and their wording; refuses to know models, betas and platforms. Pure.
Invariant: a body that passes can be walked without asking for types again. Source: the error texts of the public API.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
Place = tuple[str, Json]


class Invalid(Exception):
    """The request is refused as a whole, with the upstream's own words."""


EXTRA = "Extra inputs are not permitted"
EMPTY = "all messages must have non-empty content except for the optional final assistant message"


def check_required(body: Json, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in body:
            raise Invalid(f"{name}: Field required")
    most = body["max_tokens"]
    if isinstance(most, bool) or not isinstance(most, int):
        raise Invalid("max_tokens: Input should be a valid integer")
    if most < 1:
        raise Invalid("max_tokens: Input should be greater than or equal to 1")


def check_messages(messages: Any, roles: tuple[str, ...], *, silent_settings: bool = False) -> None:
    """Shape, roles, content, and the pairing of tool_use with tool_result. `silent_settings`: a system message may say nothing
    when it has settings for its turn (observed of Claude Code 2.1.330 after `/compact`)."""
    if not isinstance(messages, list):
        raise Invalid("messages: Input should be a valid list")
    if not messages:
        raise Invalid("messages: at least one message is required")
    for index, message in enumerate(messages):
        last = index == len(messages) - 1
        _check_message(
            index, message, roles, "system" if silent_settings and _only_sets(message) else "assistant" if last else ""
        )
    _check_pairs(messages)


def check_system(system: Any) -> None:
    if system is None or isinstance(system, str):
        return
    if not isinstance(system, list):
        raise Invalid("system: Input should be a valid list")
    for index, block in enumerate(system):
        if not isinstance(block, dict) or block.get("type") != "text":
            raise Invalid(f"system.{index}.type: Input should be 'text'")
        if not block.get("text"):
            raise Invalid("system: text content blocks must be non-empty")


def check_tools(tools: Any) -> None:
    """Shape only; which keys and types a tool may have depends on the platform."""
    if tools is None:
        return
    if not isinstance(tools, list):
        raise Invalid("tools: Input should be a valid list")
    names = [tool.get("name") for tool in tools if isinstance(tool, dict) and tool.get("name")]
    if len(set(names)) != len(names):
        raise Invalid("tools: Tool names must be unique.")
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise Invalid(f"tools.{index}: Input should be a valid dictionary")
        if tool.get("type", "custom") == "custom":
            _check_custom_tool(index, tool)


def blocks_of(messages: list[Json]) -> Iterator[Place]:
    """Every content block with its path, as error texts name it."""
    for index, message in enumerate(messages):
        if isinstance(message["content"], list):
            for position, block in enumerate(message["content"]):
                yield f"messages.{index}.content.{position}", block


def nested_blocks(path: str, block: Json) -> Iterator[Place]:
    """The blocks inside a tool_result."""
    content = block.get("content")
    if block.get("type") == "tool_result" and isinstance(content, list):
        for position, inner in enumerate(content):
            if isinstance(inner, dict):
                yield f"{path}.tool_result.content.{position}", inner


def _only_sets(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "system" and "output_config" in message


def _check_message(index: int, message: Any, roles: tuple[str, ...], may_be_empty: str) -> None:
    """`may_be_empty`: the role that needs no content here."""
    if not isinstance(message, dict):
        raise Invalid(f"messages.{index}: Input should be a valid dictionary")
    if message.get("role") not in roles:
        expected = " or ".join(f"'{role}'" for role in roles)
        raise Invalid(f"messages.{index}.role: Input should be {expected}")
    if "content" not in message:
        raise Invalid(f"messages.{index}.content: Field required")
    content = message["content"]
    if not isinstance(content, (str, list)):
        raise Invalid(f"messages.{index}.content: Input should be a valid list")
    if not content and message["role"] != may_be_empty:
        raise Invalid(f"messages.{index}: {EMPTY}")
    for position, block in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise Invalid(f"messages.{index}.content.{position}.type: Field required")
        if block["type"] == "text" and not block.get("text"):
            raise Invalid("messages: text content blocks must be non-empty")


def _check_pairs(messages: list[Json]) -> None:
    spoken = [(index, message) for index, message in enumerate(messages) if message["role"] != "system"]
    followers = [*spoken[1:], (len(messages), {"role": "user", "content": []})]
    waiting: set[str] = set()
    for (index, message), (_, following) in zip(spoken, followers, strict=True):
        answered = _ids(message, "tool_result", "tool_use_id")
        stray = next((name for name in answered if name not in waiting), None)
        if stray is not None:
            raise Invalid(
                f"messages.{index}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {stray}. "
                "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        asked = _ids(message, "tool_use", "id")
        missing = sorted(set(asked) - set(_ids(following, "tool_result", "tool_use_id")))
        if missing:
            raise Invalid(
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )
        waiting = set(asked)


def _ids(message: Json, kind: str, key: str) -> list[str]:
    content = message["content"]
    blocks = content if isinstance(content, list) else []
    return [str(block.get(key)) for block in blocks if block.get("type") == kind]


def _check_custom_tool(index: int, tool: Json) -> None:
    for name in ("name", "input_schema"):
        if name not in tool:
            raise Invalid(f"tools.{index}.custom.{name}: Field required")
    schema = tool["input_schema"]
    if not isinstance(schema, dict) or "type" not in schema:
        raise Invalid(f"tools.{index}.custom.input_schema.type: Field required")
    if schema["type"] != "object":
        raise Invalid(f"tools.{index}.custom.input_schema.type: Input should be 'object'")
