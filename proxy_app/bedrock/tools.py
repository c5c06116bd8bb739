"""The tools of a request: which kinds stay, which of their fields stay, and what `tool_choice` may then say.

A tool that the client runs itself stays; one that Anthropic's servers run (web search, code execution, ...) does not exist
on Bedrock. Invariant: what is taken out is remembered in the draft, so that nothing left behind refers to it, and a cache
breakpoint on a tool that goes moves to the tool before it.
"""

from __future__ import annotations

from typing import Any

from proxy_app.bedrock.draft import Block, Draft


def is_server_tool(tool: Block, draft: Draft) -> bool:
    kind = tool.get("type")
    return isinstance(kind, str) and kind != "custom" and kind not in draft.capabilities.rules.client_tools


def why_unservable(draft: Draft) -> str:
    """Why Bedrock cannot answer this request at all, or an empty string."""
    tools = _tools(draft)
    server = [tool for tool in tools if is_server_tool(tool, draft)]
    if server and len(server) == len(tools):
        return f"{_label(server[0])} is not available on Amazon Bedrock"
    choice = draft.body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "tool":
        forced = next((tool for tool in server if tool.get("name") == choice.get("name")), None)
        return f"{_label(forced)} is not available on Amazon Bedrock" if forced else ""
    return ""


def drop_server_tools(draft: Draft) -> None:
    """Takes out what Bedrock does not run, and kinds that this model or request has no feature for (tool search, computer)."""
    tools = draft.body.get("tools")
    if not isinstance(tools, list) or not any(_goes(tool, draft) for tool in tools):
        return
    kept: list[Any] = []
    for tool in tools:
        if not _goes(tool, draft):
            kept.append(tool)
            continue
        draft.note(f"dropped tool {_label(tool)}")
        draft.lost_tools.add(str(tool.get("name")))
        if "cache_control" in tool and kept and isinstance(kept[-1], dict) and "cache_control" not in kept[-1]:
            kept[-1] = {**kept[-1], "cache_control": tool["cache_control"]}
    draft.body["tools"] = kept
    if not kept:
        draft.drop("tools")


def trim_tool_fields(draft: Draft) -> None:
    """Leaves each tool the fields that Bedrock takes, and gives each schema its `type`."""
    tools = draft.body.get("tools")
    if not isinstance(tools, list):
        return
    trimmed = [trimmed_tool(tool, draft) for tool in tools]
    if trimmed and all(isinstance(tool, dict) and tool.get("defer_loading") for tool in trimmed):
        draft.note_dropped("tools", ("defer_loading",), draft.capabilities.rules.tool_fields)
        trimmed = [{name: value for name, value in tool.items() if name != "defer_loading"} for tool in trimmed]
    draft.body["tools"] = trimmed


def trimmed_tool(tool: Any, draft: Draft) -> Any:
    if not isinstance(tool, dict):
        return tool
    custom = tool.get("type") in (None, "custom")
    kept = {name: value for name, value in tool.items() if _field_stays(name, tool, custom, draft)}
    refused = tool.keys() - kept.keys()
    draft.note_dropped("tools", refused, draft.capabilities.rules.tool_fields)
    draft.replaced |= {f"tools.{name}" for name in refused if tool[name]}
    if custom:
        kept["input_schema"] = _schema(kept.get("input_schema"))
    return kept if kept != tool else tool


def settle_tool_choice(draft: Draft) -> None:
    """A choice without tools, or of a tool that went, is refused; forcing a tool is refused by some models."""
    choice = draft.body.get("tool_choice")
    if not isinstance(choice, dict):
        return
    if not draft.body.get("tools") or str(choice.get("name")) in draft.lost_tools:
        draft.drop("tool_choice")
        return
    if choice.get("type") not in ("any", "tool") or draft.allows("tool_choice.forced"):
        return
    parallel = {name: value for name, value in choice.items() if name == "disable_parallel_tool_use"}
    draft.body["tool_choice"] = {"type": "auto", **parallel}
    which = f"the tool `{choice.get('name')}`" if choice["type"] == "tool" else "one of your tools"
    draft.instruct(f"Answer this request by calling {which}.")
    draft.note("turned forced tool_choice into an instruction")


def _tools(draft: Draft) -> list[Block]:
    tools = draft.body.get("tools")
    return [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []


def _goes(tool: Any, draft: Draft) -> bool:
    if not isinstance(tool, dict):
        return False
    kind = str(tool.get("type", "custom"))
    return is_server_tool(tool, draft) or not draft.allows(draft.capabilities.rules.client_tools.get(kind, ""))


def _label(tool: Block) -> str:
    """The tool's type, cut to what is safe in a note."""
    return "".join(c for c in str(tool.get("type", "")) if c.isascii() and (c.isalnum() or c in "_-"))[:40]


def _field_stays(name: str, tool: Block, custom: bool, draft: Draft) -> bool:
    rules = draft.capabilities.rules
    if name == "defer_loading" and str(tool.get("name")) in draft.loaded_tools:
        return False
    if name in rules.tool_fields:
        return draft.allows(rules.tool_fields[name])
    return not custom and name not in rules.refused_tool_fields


def _schema(schema: Any) -> Any:
    if schema is None:
        return {"type": "object", "properties": {}}
    if isinstance(schema, dict) and schema.get("type") in (None, "custom"):
        return {**schema, "type": "object"}
    return schema
