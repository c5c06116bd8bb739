"""Blocks of the conversation and of the system prompt that mean nothing on Bedrock, said in plain text instead.

Results of Anthropic's own tools are encrypted for Anthropic, files and addresses cannot be fetched from Bedrock. What the
model knew of them is kept as text where there is any. Invariant: a block is replaced or taken out, never half changed; its
cache breakpoint stays on what replaces it; the same block always gives the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from proxy_app.bedrock.draft import Block, Draft, rewrite

_LONGEST_INPUT = 400
_WITH_SOURCE = ("image", "document")
_GONE = frozenset(("container_upload", "mcp_tool_listing", "fallback"))


def translate_history(draft: Draft) -> None:
    """Walks every block once."""
    tools = draft.body.get("tools")
    declared = {str(tool.get("name")) for tool in tools if isinstance(tool, dict)} if isinstance(tools, list) else set()
    named = frozenset(declared | draft.defined_tools)
    draft.rewrite_blocks(lambda block: _translated(block, draft, named))
    system = draft.body.get("system")
    if isinstance(system, list) and system:
        draft.body["system"] = rewrite(system, lambda block: _translated(block, draft, named))
        if not draft.body["system"]:
            draft.drop("system")


def _translated(block: Block, draft: Draft, tools: frozenset[str]) -> Block | None:
    kind = block.get("type")
    if not isinstance(kind, str):
        return block
    known = draft.capabilities.rules.blocks.get(kind)
    if known is None or (known.needs and not _stands(block, kind, known.needs, draft, tools)):
        return _in_words(block, kind, draft)
    if kind in _WITH_SOURCE and _is_elsewhere(block):
        return _address(block, kind, draft)
    if kind == "tool_search_tool_result":
        block = _with_declared_tools(block, tools)
    if known.fields is None or block.keys() <= known.fields:
        return block
    draft.note(f"dropped a field of {kind} blocks")
    return {name: value for name, value in block.items() if name in known.fields}


def _stands(block: Block, kind: str, needs: str, draft: Draft, tools: frozenset[str]) -> bool:
    """Whether a block that not every model takes means something there."""
    if not draft.allows(needs):
        return False
    if kind == "tool_reference":
        return str(block.get("tool_name")) in tools
    if kind == "server_tool_use":
        return draft.capabilities.rules.client_tools.get(str(block.get("name"))) == needs
    if kind == "tool_search_tool_result":
        return True
    return isinstance(block.get("content"), str) and bool(block["content"].strip())  # a compaction that can be read


def _in_words(block: Block, kind: str, draft: Draft) -> Block | None:
    if kind == "tool_reference":
        return _text(block, f"The tool {block.get('tool_name')} is available.")
    if kind in ("server_tool_use", "mcp_tool_use"):
        draft.note("turned server tool calls into text")
        return _text(block, f"[Called {block.get('name')} with {_short_json(block.get('input'))}]")
    if kind in _GONE:
        draft.note(f"dropped {kind} blocks")
        return None
    if kind == "compaction":
        return _compaction(block, draft)
    if kind.endswith("_tool_result"):
        draft.note("turned server tool results into text")
        return _text(block, _result_words(kind.removesuffix("_tool_result"), block.get("content")))
    draft.note("turned blocks of an unknown kind into text")
    lines = _lines(block)
    return _text(block, "\n".join(lines)) if lines else None


def _with_declared_tools(block: Block, tools: frozenset[str]) -> Block:
    """A search that found a tool which has gone found it in vain."""
    content = block.get("content")
    found = content.get("tool_references") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(found, list):
        return block
    kept = [each for each in found if not isinstance(each, dict) or str(each.get("tool_name")) in tools]
    return block if len(kept) == len(found) else {**block, "content": {**content, "tool_references": kept}}


def _text(block: Block, text: str) -> Block:
    cache = {"cache_control": block["cache_control"]} if "cache_control" in block else {}
    return {"type": "text", "text": text, **cache}


def _is_elsewhere(block: Block) -> bool:
    source = block.get("source")
    return isinstance(source, dict) and source.get("type") in ("url", "file")


def _address(block: Block, kind: str, draft: Draft) -> Block:
    draft.note(f"replaced {kind} by address")
    source = block["source"]
    name = block.get("title") or source.get("url") or source.get("file_id") or "no name"
    return _text(block, f"[{kind} that cannot be shown here: {name}]")


def _compaction(block: Block, draft: Draft) -> Block | None:
    draft.note("turned compaction blocks into text")
    summary = block.get("content")
    if not isinstance(summary, str) or not summary.strip():
        return None
    return _text(block, f"Summary of the conversation so far:\n{summary}")


def _result_words(name: str, content: Any) -> str:
    lines = [line for part in (content if isinstance(content, list) else [content]) for line in _lines(part)]
    return f"[Result of {name}]\n" + "\n".join(lines) if lines else f"[Result of {name}: not available here]"


def _lines(part: Any) -> list[str]:
    """What one part of a result says in words: never its encrypted content."""
    if isinstance(part, str):
        return [part] if part.strip() else []
    if not isinstance(part, dict):
        return []
    if part.get("error_code"):
        return [f"error: {part['error_code']}"]
    inner = part.get("content")
    own = [str(part[key]) for key in ("title", "url", "text", "stdout", "stderr") if isinstance(part.get(key), str) and part[key]]
    head = [" - ".join(own)] if own else []
    return head + _document_lines(inner)


def _document_lines(document: Any) -> list[str]:
    """The plain text of a fetched document."""
    if not isinstance(document, dict):
        return []
    source: Mapping[str, Any] = document["source"] if isinstance(document.get("source"), dict) else {}
    text = source.get("data") if source.get("type") == "text" else None
    return [text] if isinstance(text, str) and text.strip() else []


def _short_json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()[:_LONGEST_INPUT]
    except (TypeError, ValueError):
        return "its input"
