"""How many input tokens a request is, when nobody who knows can be asked; and how to ask Bedrock's CountTokens.

The estimate weighs the text (`text_weight.py`) and knows what pictures, pages, tools and sealed thinking cost beside it. It errs
upwards: it is used for budgets and for a client that decides when to compact. Never below 85 % of the truth, as far as
that could be found out (docs/decisions/0015-token-estimate.md). Pure; no tokenizer is bundled.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any

from proxy_app.bedrock.capabilities import Capabilities
from proxy_app.bedrock.pictures import DEAREST, picture_tokens
from proxy_app.bedrock.repair import CannotServe, repair, serialise
from proxy_app.bedrock.text_weight import PIECE_BYTES, weigh
from proxy_app.json_body import Rest, no_rest, written_json

_SIGNATURE_CHARS_A_TOKEN = 5.5  # thinking is not shown, but its sealed form grows with it
_TOOLS_PREAMBLE = 530  # the system prompt that Anthropic adds when there are tools
_TOOL, _MESSAGE, _BLOCK, _REQUEST = 12, 5, 3, 10
_DEEPEST = 3  # a document inside a tool result inside a message
_PDF_PAGE = 2600
_PDF_BYTES_A_PAGE = 50_000
_COUNT_MAX_TOKENS = 1024
_SEALED_AT_ONCE = 3 * 256 * 1024  # bytes; three become four, so the pieces fit together
_CORE_FIELDS = frozenset(("anthropic_version", "max_tokens", "messages", "system", "tools", "tool_choice"))

_PDF_PAGES = re.compile(rb"/Type\s*/Page(?!s)")


def estimate_input_tokens(body: Mapping[str, Any], rest: Rest = no_rest) -> int:
    """A local estimate for a Messages body. Never raises, whatever the body holds; at least 1."""
    scale = _Scale(rest)
    tokens = _REQUEST + scale.content(body.get("system"))
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        tokens += _MESSAGE + scale.content(message.get("content") if isinstance(message, dict) else None)
    tools = body.get("tools")
    if isinstance(tools, list) and tools:
        tokens += _TOOLS_PREAMBLE + sum(_TOOL + scale.json(tool) for tool in tools)
    return int(tokens) + 1


def count_tokens_body(body: Mapping[str, Any], capabilities: Capabilities, rest: Rest = no_rest) -> bytes:
    """The body of Bedrock's CountTokens: an Invoke body of core fields only, as base64. Always makes one."""
    able = capabilities.plain()
    try:
        repaired = repair(body, (), able, rest=rest).body
    except CannotServe:
        tools = [tool for tool in body.get("tools", ()) if isinstance(tool, dict) and tool.get("type") in (None, "custom")]
        without = {name: value for name, value in body.items() if name not in ("tools", "tool_choice")}
        repaired = repair({**without, "tools": tools} if tools else without, (), able, rest=rest).body
    inner = {name: value for name, value in repaired.items() if name in _CORE_FIELDS}
    inner["max_tokens"] = _COUNT_MAX_TOKENS
    written = serialise(inner, rest)
    pieces = [b'{"input":{"invokeModel":{"body":"']
    for start in range(0, len(written), _SEALED_AT_ONCE):
        rest()
        pieces.append(b64encode(written[start : start + _SEALED_AT_ONCE]))
    return b"".join((*pieces, b'"}}}'))


class _Scale:
    """Weighs contents, blocks and texts; `rest` is called after every piece."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def content(self, content: Any, depth: int = 0) -> float:
        if isinstance(content, str):
            return self.text(content)
        if not isinstance(content, list) or depth > _DEEPEST:
            return 0
        return sum(_BLOCK + self._block(block, depth) for block in content if isinstance(block, dict))

    def _block(self, block: Mapping[str, Any], depth: int) -> float:
        kind = block.get("type")
        if kind == "text":
            return self.text(block.get("text"))
        if kind == "tool_result":
            return _MESSAGE + self.content(block.get("content"), depth + 1)
        if kind == "image":
            return self._source(block.get("source"), depth, pdf=False)
        if kind == "document":
            about = self.text(block.get("title")) + self.text(block.get("context"))
            return about + self._source(block.get("source"), depth, pdf=True)
        if kind in ("thinking", "redacted_thinking"):
            sealed = block.get("signature") or block.get("data")
            hidden = len(sealed) / _SIGNATURE_CHARS_A_TOKEN if isinstance(sealed, str) else 0
            return max(hidden, self.text(block.get("thinking")))
        return self.json(block)

    def _source(self, source: Any, depth: int, *, pdf: bool) -> float:
        if not isinstance(source, dict):
            return 0
        if source.get("type") == "content":
            return self.content(source.get("content"), depth + 1)
        text = source.get("data")
        if not isinstance(text, str):
            return DEAREST  # an address or a file: unknown, so dear
        if source.get("type") == "text":
            return self.text(text)
        self._rest()
        return _pdf_tokens(text) if pdf else picture_tokens(text)

    def json(self, value: Any) -> float:
        try:
            return self._bytes(written_json(value))
        except (TypeError, ValueError, RecursionError):
            return 0  # nested deeper than any interface takes: the request will be refused

    def text(self, text: Any) -> float:
        return self._bytes(text.encode("utf-8", "replace")) if isinstance(text, str) else 0

    def _bytes(self, text: bytes) -> float:
        tokens = 0.0
        for start in range(0, len(text), PIECE_BYTES):
            tokens += weigh(text[start : start + PIECE_BYTES])
            self._rest()
        return tokens


def _pdf_tokens(base64_text: str) -> int:
    try:
        raw = a2b_base64(base64_text)
    except ValueError:
        raw = b""
    pages = max(len(_PDF_PAGES.findall(raw)), len(base64_text) * 3 // 4 // _PDF_BYTES_A_PAGE, 1)
    return pages * _PDF_PAGE
