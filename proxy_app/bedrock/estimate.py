"""How many input tokens a request is, when nobody who knows can be asked; and how to ask Bedrock's CountTokens.

The estimate counts characters by kind, so that code and JSON weigh more than prose, and errs upwards: it is used for
budgets and for a client that decides when to compact. Aim: never below 85 % of the truth. Pure; no tokenizer is bundled.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any

import orjson

from proxy_app.bedrock.capabilities import Capabilities
from proxy_app.bedrock.pictures import DEAREST, picture_tokens
from proxy_app.bedrock.repair import CannotServe, repair, serialise

# Characters to a token, on the newest tokenizer (which splits up to a third finer than the older ones).
_LETTERS_A_TOKEN = 3.4
_SYMBOLS_A_TOKEN = 1.6
_BYTES_A_TOKEN_ELSEWHERE = 2.2  # UTF-8 bytes of everything that is not ASCII
_UNBROKEN_A_TOKEN = 1.5  # inside long runs without a space: digests, base64
_SIGNATURE_CHARS_A_TOKEN = 5.5  # thinking is not shown, but its sealed form grows with it
_TOOLS_PREAMBLE = 530  # the system prompt that Anthropic adds when there are tools
_TOOL, _MESSAGE, _BLOCK, _REQUEST = 12, 5, 3, 10
_DEEPEST = 3  # a document inside a tool result inside a message
_PDF_PAGE = 2600
_PDF_BYTES_A_PAGE = 50_000
_COUNT_MAX_TOKENS = 1024
_CORE_FIELDS = frozenset(("anthropic_version", "max_tokens", "messages", "system", "tools", "tool_choice"))

_LETTERS_AND_SPACE = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \n"
_UNBROKEN = re.compile(rb"[A-Za-z0-9+/=_-]{40,}")
_PDF_PAGES = re.compile(rb"/Type\s*/Page(?!s)")


def estimate_input_tokens(body: Mapping[str, Any]) -> int:
    """A local estimate for a Messages body. Never raises, whatever the body holds; at least 1."""
    tokens = _REQUEST + _content_tokens(body.get("system"))
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        tokens += _MESSAGE + _content_tokens(message.get("content") if isinstance(message, dict) else None)
    tools = body.get("tools")
    if isinstance(tools, list) and tools:
        tokens += _TOOLS_PREAMBLE + sum(_TOOL + _json_tokens(tool) for tool in tools)
    return int(tokens) + 1


def count_tokens_body(body: Mapping[str, Any], capabilities: Capabilities) -> bytes:
    """The body of Bedrock's CountTokens: an Invoke body of core fields only, as base64. Always makes one."""
    able = capabilities.plain()
    try:
        repaired = repair(body, (), able).body
    except CannotServe:
        tools = [tool for tool in body.get("tools", ()) if isinstance(tool, dict) and tool.get("type") in (None, "custom")]
        without = {name: value for name, value in body.items() if name not in ("tools", "tool_choice")}
        repaired = repair({**without, "tools": tools} if tools else without, (), able).body
    inner = {name: value for name, value in repaired.items() if name in _CORE_FIELDS}
    inner["max_tokens"] = _COUNT_MAX_TOKENS
    return orjson.dumps({"input": {"invokeModel": {"body": b64encode(serialise(inner)).decode()}}})


def _content_tokens(content: Any, depth: int = 0) -> float:
    if isinstance(content, str):
        return _text_tokens(content)
    if not isinstance(content, list) or depth > _DEEPEST:
        return 0
    return sum(_BLOCK + _block_tokens(block, depth) for block in content if isinstance(block, dict))


def _block_tokens(block: Mapping[str, Any], depth: int) -> float:
    kind = block.get("type")
    if kind == "text":
        return _text_tokens(block.get("text"))
    if kind == "tool_result":
        return _MESSAGE + _content_tokens(block.get("content"), depth + 1)
    if kind == "image":
        return _source_tokens(block.get("source"), depth, pdf=False)
    if kind == "document":
        about = _text_tokens(block.get("title")) + _text_tokens(block.get("context"))
        return about + _source_tokens(block.get("source"), depth, pdf=True)
    if kind in ("thinking", "redacted_thinking"):
        sealed = block.get("signature") or block.get("data")
        hidden = len(sealed) / _SIGNATURE_CHARS_A_TOKEN if isinstance(sealed, str) else 0
        return max(hidden, _text_tokens(block.get("thinking")))
    return _json_tokens(block)


def _source_tokens(source: Any, depth: int, *, pdf: bool) -> float:
    if not isinstance(source, dict):
        return 0
    if source.get("type") == "content":
        return _content_tokens(source.get("content"), depth + 1)
    text = source.get("data")
    if not isinstance(text, str):
        return DEAREST  # an address or a file: unknown, so dear
    if source.get("type") == "text":
        return _text_tokens(text)
    return _pdf_tokens(text) if pdf else picture_tokens(text)


def _pdf_tokens(base64_text: str) -> int:
    try:
        raw = a2b_base64(base64_text)
    except ValueError:
        raw = b""
    pages = max(len(_PDF_PAGES.findall(raw)), len(base64_text) * 3 // 4 // _PDF_BYTES_A_PAGE, 1)
    return pages * _PDF_PAGE


def _json_tokens(value: Any) -> float:
    try:
        return _bytes_tokens(serialise(value))
    except (TypeError, ValueError, RecursionError):
        return 0  # nested deeper than any interface takes: the request will be refused


def _text_tokens(text: Any) -> float:
    return _bytes_tokens(text.encode("utf-8", "replace")) if isinstance(text, str) else 0


def _bytes_tokens(text: bytes) -> float:
    if text.isascii():
        elsewhere = 0
    else:
        plain = text.decode("utf-8", "ignore").encode("ascii", "ignore")
        elsewhere, text = len(text) - len(plain), plain
    unbroken = sum(len(run) for run in _UNBROKEN.findall(text))
    symbols = len(text.translate(None, _LETTERS_AND_SPACE))
    letters = len(text) - symbols
    broken = letters / _LETTERS_A_TOKEN + symbols / _SYMBOLS_A_TOKEN
    share = unbroken / len(text) if text else 0
    return broken * (1 - share) + unbroken / _UNBROKEN_A_TOKEN + elsewhere / _BYTES_A_TOKEN_ELSEWHERE
