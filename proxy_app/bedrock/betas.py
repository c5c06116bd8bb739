"""Betas and what they open: which features a request may use, and which flags go along with the repaired body.

One unknown flag makes Bedrock refuse the whole request, and so does a field without the flag that opens it. So this is an
allowlist, and the two halves of a pair stay or go together. Knows names and presence; every row is in
`data/capabilities.json`. Invariant: no flag goes out that the model does not accept or whose features it does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from proxy_app.bedrock.capabilities import Capabilities
from proxy_app.bedrock.draft import Draft

_PLAIN_NAME = re.compile(r"[a-z0-9.-]{1,60}")


def asked_betas(betas: Sequence[str], capabilities: Capabilities) -> tuple[str, ...]:
    """The client's flags in its order, by the names that Bedrock has for them, each once."""
    aliases = capabilities.rules.beta_aliases
    names = (part.strip() for value in betas for part in value.split(","))
    return tuple(dict.fromkeys(aliases.get(name, name) for name in names if name))


def open_features(asked: Sequence[str], capabilities: Capabilities) -> frozenset[str]:
    """What the model accepts, less what would need a flag that is not there (or that the model refuses)."""
    rules = capabilities.rules.betas
    gated = {feature for row in rules.values() for feature in row.opens} - capabilities.ga
    live = {name for name in capabilities.betas if name in asked or (name in rules and rules[name].add)}
    opened = {feature for name in live if name in rules for feature in rules[name].opens}
    return (capabilities.features - gated) | (capabilities.features & opened)


def settle_betas(draft: Draft) -> None:
    """The last step: `anthropic_beta` as the finished body needs it."""
    kept = [name for name in draft.betas if _goes(name, draft)]
    kept += list(_missing(kept, draft))
    for name in draft.betas:
        if name not in kept:
            draft.note(f"dropped beta {name if _PLAIN_NAME.fullmatch(name) else '?'}")
    draft.body.pop("anthropic_beta", None)
    if kept:
        draft.body["anthropic_beta"] = kept  # always last, so that a repaired body repairs to the same bytes


def _goes(name: str, draft: Draft) -> bool:
    row = draft.capabilities.rules.betas.get(name)
    if row is None or name not in draft.capabilities.betas:
        return False
    if row.opens and not row.serves and not row.opens & draft.capabilities.features:
        return False
    alone_is_fine = draft.capabilities.lone_betas and not row.only_with
    return alone_is_fine or any(holds(draft.body, feature) for feature in row.opens | row.serves)


def _missing(kept: Sequence[str], draft: Draft) -> Iterator[str]:
    """Flags that the client may leave out at Anthropic but Bedrock wants with the field."""
    rules = draft.capabilities.rules.betas
    opened = {feature for name in kept for feature in rules[name].opens} | draft.capabilities.ga
    for name in sorted(draft.capabilities.betas - set(kept)):
        row = rules.get(name)
        wanted = row is not None and row.add and any(holds(draft.body, feature) for feature in row.opens - opened)
        if wanted or (row is not None and row.instead_of in draft.replaced):
            yield name


def holds(body: Mapping[str, Any], feature: str) -> bool:
    """Whether a body uses a feature. False for features that leave no trace in a body."""
    found = _PRESENT.get(feature)
    return found is not None and found(body)


def features_at(path: str) -> frozenset[str]:
    """The features that a refused path ("output_config", "context_management.edits.keep") is about; none when unknown."""
    names = REFUSABLE
    if path in names:
        return frozenset((path,))
    inside = frozenset(name for name in names if name.startswith(f"{path}."))
    around = [name for name in names if path.startswith(f"{name}.")]
    return inside or frozenset((max(around, key=len),) if around else ())


def _object(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    return value if isinstance(value, dict) else {}


def _tools(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tools = body.get("tools")
    return [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []


def _messages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = body.get("messages")
    return [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []


def _blocks(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for message in _messages(body):
        for block in _listed(message):
            yield block
            if block.get("type") == "tool_result":
                yield from _listed(block)


def _listed(holder: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = holder.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _has_block(*types: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda body: any(block.get("type") in types for block in _blocks(body))


def _has_tool(start: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda body: any(str(tool.get("type", "")).startswith(start) for tool in (*_tools(body), *_definitions(body)))


def _tool_field(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda body: any(name in tool for tool in (*_tools(body), *_definitions(body)))


def _field(key: str, name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda body: name in _object(body, key)


def _uses_tool_search(body: Mapping[str, Any]) -> bool:
    deferred = _tool_field("defer_loading")(body) or _has_tool("tool_search_tool_")(body)
    return deferred or _has_block("tool_reference", "tool_search_tool_result", "server_tool_use")(body)


def _compacts(body: Mapping[str, Any]) -> bool:
    if _has_block("compaction")(body):
        return True
    edits = _object(body, "context_management").get("edits")
    return isinstance(edits, list) and any(isinstance(e, dict) and str(e.get("type", "")).startswith("compact_") for e in edits)


def _defines_tools(body: Mapping[str, Any]) -> bool:
    return any(tool.get("type") == "tool_definition" for tool in _added_tools(body))


def _definitions(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Tools that messages bring along: what is asked of their fields is asked as of all others'."""
    found = (tool.get("definition") for tool in _added_tools(body) if tool.get("type") == "tool_definition")
    return [definition for definition in found if isinstance(definition, dict)]


def _added_tools(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    added = (block.get("tool") for block in _blocks(body) if block.get("type") == "tool_addition")
    return [tool for tool in added if isinstance(tool, dict)]


def _caches(name: str) -> Callable[[Mapping[str, Any]], bool]:
    def found(body: Mapping[str, Any]) -> bool:
        system = body.get("system")
        places = [*_tools(body), *_blocks(body), *(system if isinstance(system, list) else ())]
        return any(isinstance(place, dict) and name in _object(place, "cache_control") for place in places)

    return found


_NOT_REFUSED = frozenset(
    ("thinking", "tools", "tools.memory", "messages.search_result")
)  # asked for presence only: no refusal can be about all of them
_PRESENT: Mapping[str, Callable[[Mapping[str, Any]], bool]] = MappingProxyType(
    {
        "cache_control": lambda body: "cache_control" in body,
        "cache_control.ttl": _caches("ttl"),
        "context_management": lambda body: "context_management" in body,
        "context_management.compact": _compacts,
        "messages.search_result": _has_block("search_result"),
        "messages.output_config": lambda body: any("output_config" in message for message in _messages(body)),
        "messages.system": lambda body: any(message.get("role") == "system" for message in _messages(body)),
        "messages.thinking": _has_block("thinking", "redacted_thinking"),
        "messages.tool_changes": _has_block("tool_addition", "tool_removal"),
        "messages.tool_definitions": _defines_tools,
        "messages.tool_removal": _has_block("tool_removal"),
        "metadata": lambda body: "metadata" in body,
        "output_config.effort": _field("output_config", "effort"),
        "output_config.format": _field("output_config", "format"),
        "safeguards": lambda body: "safeguards" in body,
        "sampling": lambda body: any(name in body for name in ("temperature", "top_p", "top_k")),
        "sampling.default": lambda body: body.get("temperature") == 1 or body.get("top_p") == 1,
        "thinking": lambda body: _object(body, "thinking").get("type") in ("enabled", "adaptive", "between_tools"),
        "thinking.adaptive": lambda body: _object(body, "thinking").get("type") == "adaptive",
        "thinking.between_tools": lambda body: _object(body, "thinking").get("type") == "between_tools",
        "thinking.block_binding": _field("thinking", "block_binding"),
        "thinking.disabled": lambda body: _object(body, "thinking").get("type") == "disabled",
        "thinking.display": _field("thinking", "display"),
        "thinking.display.updates": lambda body: _object(body, "thinking").get("display") == "updates",
        "thinking.enabled": lambda body: _object(body, "thinking").get("type") == "enabled",
        "tool_choice.forced": lambda body: _object(body, "tool_choice").get("type") in ("any", "tool"),
        "tools": lambda body: bool(_tools(body)),
        "tools.computer_20250124": _has_tool("computer_20250124"),
        "tools.computer_20251124": _has_tool("computer_20251124"),
        "tools.defer_loading": _uses_tool_search,
        "tools.eager_input_streaming": _tool_field("eager_input_streaming"),
        "tools.input_examples": _tool_field("input_examples"),
        "tools.memory": _has_tool("memory_"),
        "tools.strict": _tool_field("strict"),
    }
)
REFUSABLE = frozenset(_PRESENT.keys() - _NOT_REFUSED)
