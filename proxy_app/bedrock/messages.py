"""The messages themselves: their fields, their roles, and tool changes in mid-conversation.

Newer models take `role: "system"` messages and per-message settings; for the others the same words become part of the
user's turn. Invariant: tool results stay first in the turn that follows their calls (anything before them is a 400), and no
message is left without content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy_app.bedrock.draft import EMPTY_TEXT, Block, Draft, as_blocks
from proxy_app.bedrock.tools import is_server_tool, trimmed_tool


def settle_tool_changes(draft: Draft) -> None:
    """Takes out `tool_addition` and `tool_removal` that cannot stand; a tool defined there moves to `tools`."""
    messages = draft.body.get("messages")
    if isinstance(messages, list):
        settled = [_without_changes(message, draft) for message in messages]
        draft.body["messages"] = [message for message in settled if message is not None]


def settle_message_fields(draft: Draft) -> None:
    """Leaves each message the fields that Bedrock takes; a note that was for one turn goes when its turn is over."""
    messages = draft.body.get("messages")
    if not isinstance(messages, list):
        return
    last_user = max((i for i, message in enumerate(messages) if _role(message) == "user"), default=-1)
    kept = [message for i, message in enumerate(messages) if not (i < last_user and _ends_with_turn(message))]
    trimmed = [_trimmed(message, draft) for message in kept]
    draft.body["messages"] = [message for message in trimmed if _role(message) != "system" or message.get("content")]


def settle_system_messages(draft: Draft) -> None:
    """Where the model takes no `role: "system"`, its text joins the user's turn beside it."""
    messages = draft.body.get("messages")
    if not isinstance(messages, list) or draft.allows("messages.system"):
        return
    if not any(_role(message) == "system" for message in messages):
        return
    draft.note("turned system messages into user text")
    merged: list[Any] = []
    turn: list[Any] = []
    for message in [*messages, None]:
        if _role(message) in ("user", "system"):
            turn.append(message)
            continue
        merged += _one_turn(turn)
        turn = []
        if message is not None:
            merged.append(message)
    draft.body["messages"] = merged


def _ends_with_turn(message: Any) -> bool:
    return isinstance(message, dict) and _role(message) == "system" and message.get("clear_at") == "next_user_message"


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _one_turn(turn: list[Any]) -> list[Any]:
    """A run of user and system messages as one user message; as it was when there is no system message in it."""
    if not any(_role(message) == "system" for message in turn):
        return turn
    blocks = [block for message in turn for block in _as_user(message)]
    results = [block for block in blocks if _is_result(block)]
    rest = [block for block in blocks if not _is_result(block)]
    return [{"role": "user", "content": [*results, *rest] or [{"type": "text", "text": EMPTY_TEXT}]}]


def _as_user(message: Mapping[str, Any]) -> list[Any]:
    blocks = as_blocks(message.get("content"))
    return [_reminder(block) for block in blocks] if message.get("role") == "system" else blocks


def _reminder(block: Any) -> Any:
    if not isinstance(block, dict) or not isinstance(block.get("text"), str):
        return block
    return {**block, "text": f"<system-reminder>\n{block['text']}\n</system-reminder>"}


def _is_result(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "tool_result"


def _trimmed(message: Any, draft: Draft) -> Any:
    if not isinstance(message, dict):
        return message
    fields = draft.capabilities.rules.message_fields
    kept = {name: value for name, value in message.items() if name in fields and draft.allows(fields[name])}
    if len(kept) == len(message):
        return message
    draft.note_dropped("messages", message.keys() - kept.keys(), fields)
    return kept


def _without_changes(message: Any, draft: Draft) -> Any | None:
    """None when the message held nothing else: a `system` message may be left out, it is not a turn."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    content = message["content"]
    if not any(_is_change(block) for block in content):
        return message
    kept = [now for block in content if (now := _settled_change(block, draft) if _is_change(block) else block) is not None]
    if kept:
        return {**message, "content": kept}
    return None if message.get("role") == "system" else {**message, "content": [{"type": "text", "text": EMPTY_TEXT}]}


def _is_change(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in ("tool_addition", "tool_removal")


def _settled_change(block: Block, draft: Draft) -> Block | None:
    tool = block.get("tool")
    if not isinstance(tool, dict):
        return _refused_change(draft)
    definition = tool.get("definition")
    if tool.get("type") == "tool_definition" and isinstance(definition, dict):
        return _settled_definition(block, definition, draft)
    name = str(tool.get("name"))
    stands = tool.get("type") == "tool_reference" and name not in draft.lost_tools and draft.allows("messages.tool_changes")
    if block.get("type") == "tool_removal":
        return block if stands and draft.allows("messages.tool_removal") else _refused_change(draft)
    if not stands:
        draft.loaded_tools.add(name)
    return block if stands else _refused_change(draft)


def _refused_change(draft: Draft) -> Block | None:
    draft.note("dropped tool changes")
    return None


def _settled_definition(block: Block, definition: Block, draft: Draft) -> Block | None:
    if is_server_tool(definition, draft):
        draft.lost_tools.add(str(definition.get("name")))
        return _refused_change(draft)
    if draft.allows("messages.tool_definitions"):
        draft.defined_tools.add(str(definition.get("name")))
        trimmed = trimmed_tool(definition, draft)
        return block if trimmed is definition else {**block, "tool": {**block["tool"], "definition": trimmed}}
    tools = draft.body.get("tools")
    declared = tools if isinstance(tools, list) else []
    if all(not isinstance(tool, dict) or tool.get("name") != definition.get("name") for tool in declared):
        draft.body["tools"] = [*declared, definition]
    draft.note("moved tool definitions to tools")
    return None
