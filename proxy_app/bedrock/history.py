"""Blocks of the conversation that mean nothing on Bedrock, said in plain text instead.

Results of Anthropic's own tools are encrypted for Anthropic, files and addresses cannot be fetched from Bedrock. What the
model knew of them is kept as text where there is any. Invariant: a block is replaced or taken out, never half changed; its
cache breakpoint stays on what replaces it; the same block always gives the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from proxy_app.bedrock.draft import Block, Draft

_LONGEST_INPUT = 400
_SEARCH_RESULT = "tool_search_tool_result"
_PLAIN = ("text", "tool_use", "tool_result", "thinking", "redacted_thinking")
_GONE = frozenset(("container_upload", "mcp_tool_listing", "fallback"))


def translate_history(draft: Draft) -> None:
    """Walks every block once."""
    draft.rewrite_blocks(lambda block: _translated(block, draft))


def _translated(block: Block, draft: Draft) -> Block | None:
    kind = block.get("type")
    if kind in _PLAIN or not isinstance(kind, str):
        return block
    if kind in ("image", "document"):
        return _with_reachable_source(block, kind, draft)
    if kind == "tool_reference":
        return block if draft.allows("tools.defer_loading") else _text(block, f"The tool {block.get('tool_name')} is available.")
    if kind in ("server_tool_use", "mcp_tool_use"):
        return _server_call(block, draft)
    if kind == _SEARCH_RESULT and draft.allows("tools.defer_loading"):
        return block
    if kind in _GONE:
        draft.note(f"dropped {kind} blocks")
        return None
    if kind == "compaction":
        return _compaction(block, draft)
    if kind.endswith("_tool_result"):
        draft.note("turned server tool results into text")
        return _text(block, _result_words(kind.removesuffix("_tool_result"), block.get("content")))
    return block


def _text(block: Block, text: str) -> Block:
    cache = {"cache_control": block["cache_control"]} if "cache_control" in block else {}
    return {"type": "text", "text": text, **cache}


def _with_reachable_source(block: Block, kind: str, draft: Draft) -> Block:
    source = block.get("source")
    if not isinstance(source, dict) or source.get("type") not in ("url", "file"):
        return block
    draft.note(f"replaced {kind} by address")
    name = block.get("title") or source.get("url") or source.get("file_id") or "no name"
    return _text(block, f"[{kind} that cannot be shown here: {name}]")


def _server_call(block: Block, draft: Draft) -> Block:
    if str(block.get("name", "")).startswith("tool_search_tool_") and draft.allows("tools.defer_loading"):
        return block
    draft.note("turned server tool calls into text")
    return _text(block, f"[Called {block.get('name')} with {_short_json(block.get('input'))}]")


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
