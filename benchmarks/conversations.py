"""Long sessions of Claude Code as request bodies: thinking, tool calls and their results, turn after turn.

Pure. Texts look like source code and tool output (quotes, braces, line ends), since those are what JSON escapes and what a
repair walks over. Invariant: the same arguments give the same bytes, of exactly the size asked for.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from benchmarks.messages import MODEL

_LINE = '    def test_{n}(self) -> None:\n        assert self.ask("{n}", {{"depth": [{n}, 2]}}) == \'{n}\'  # as before\n'
_TOOLS = ("Bash", "Read", "Edit", "Grep", "Write", "Glob", "Task", "WebFetch", "NotebookEdit", "TodoWrite")
_THOUGHT = "The caller wants the file changed, so read it first and look for the test that covers it. "


@cache
def conversation_bytes(size: int, messages: int, *, streamed: bool = True, bedrock: bool = False) -> bytes:
    """A session of an odd number of messages, the last one a tool's result. `bedrock`: as a client of InvokeModel sends it."""
    body: dict[str, Any] = {
        "max_tokens": 32_000,
        "system": [{"type": "text", "text": _source(0, size // 25), "cache_control": {"type": "ephemeral"}}],
        "tools": [_tool(name, min(size // 200, 2000)) for name in _TOOLS],
        "thinking": {"type": "enabled", "budget_tokens": 16_000},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Make the tests pass."}]}],
    }
    own = {"anthropic_version": "bedrock-2023-05-31"} if bedrock else _client_fields(streamed)
    body = {**own, **body}
    for number in range((messages - 1) // 2):
        body["messages"] += _step(number, "")
    room = size - len(_json(body))
    results = [message["content"][0] for message in body["messages"][2::2]]
    for number, result in enumerate(results):
        share = room // (len(results) - number)
        result["content"] = _fitting(number, share)
        room -= len(_json(result["content"])) - 2
    return _json(body)


def _client_fields(streamed: bool) -> dict[str, Any]:
    management = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    return {
        "model": MODEL,
        "stream": streamed,
        "metadata": {"user_id": "user_bench"},
        "context_management": management,
    }


def _step(number: int, output: str) -> list[dict[str, Any]]:
    """What the model thought and called, and what the tool said."""
    call = f"toolu_{number:020d}"
    thought = {"type": "thinking", "thinking": _THOUGHT, "signature": "c2VhbGVk" * 8}
    used = {"type": "tool_use", "id": call, "name": _TOOLS[number % 3], "input": {"file_path": f"src/{number}.py"}}
    said = {"type": "tool_result", "tool_use_id": call, "content": output}
    return [{"role": "assistant", "content": [thought, used]}, {"role": "user", "content": [said]}]


def _tool(name: str, words: int) -> dict[str, Any]:
    fields = {f"field_{number}": {"type": "string", "description": _source(number, 60)} for number in range(3)}
    schema = {"type": "object", "properties": fields, "required": ["field_0"], "additionalProperties": False}
    return {"name": name, "description": _source(1, words), "input_schema": schema}


def _fitting(number: int, size: int) -> str:
    """Source text that takes exactly so many bytes of JSON inside its quotes."""
    text = _source(number, size)
    while len(_json(text)) - 2 > size:
        text = text[: len(text) - max(1, (len(_json(text)) - 2 - size) // 2)]
    return text + "x" * (size - len(_json(text)) + 2)


def _source(seed: int, length: int) -> str:
    lines = (_LINE.format(n=seed * 31 + number) for number in range(max(length, 0) // 90 + 1))
    return "".join(lines)[: max(length, 0)]


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
