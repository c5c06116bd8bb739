"""Signatures of thinking blocks, and whether a block still stands where it was made.

A signature carries platform, model, a digest of the conversation before it and one of the thought, so that a server
without memory can tell a foreign, a moved and a tampered block apart (newer models bind all of these). Pure.
Invariant: what clients may change between turns (cache marks, dropped thinking, per-turn settings) changes no digest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

UNBOUND_BLOCKS = ("thinking", "redacted_thinking")
UNBOUND_KEYS = ("cache_control", "output_config", "signature")


@dataclass(frozen=True, slots=True)
class Seal:
    """A signature, taken apart."""

    model: str
    prefix: str
    thought: str


def sign(platform: str, model: str, body: dict[str, Any], position: int, thought: str) -> str:
    """The signature of a thought that becomes message number `position`."""
    return f"{platform}{model}.{prefix_digest(body, position)}.{_digest(thought.encode())}"


def seal_of(signature: str, platform: str) -> Seal | None:
    """What a signature of this platform says; None for another's. Raises ValueError when it has been tampered with."""
    if not signature.startswith(platform):
        return None
    model, prefix, thought = signature.removeprefix(platform).rsplit(".", 2)
    return Seal(model, prefix, thought)


def stands(seal: Seal, body: dict[str, Any], position: int) -> bool:
    """Whether the conversation before message `position` is the one that the block was made in."""
    return seal.prefix == prefix_digest(body, position)


def says(seal: Seal, thought: str) -> bool:
    return seal.thought == _digest(thought.encode())


def prefix_digest(body: dict[str, Any], position: int) -> str:
    """Of tools, system prompt and the messages before `position`."""
    tools = [[tool.get(key) for key in ("name", "description", "input_schema")] for tool in body.get("tools") or []]
    bound = [tools, _bare(_listed(body.get("system"))), [_bare_message(m) for m in body["messages"][:position]]]
    return _digest(orjson.dumps(bound, option=orjson.OPT_SORT_KEYS))


def _bare_message(message: dict[str, Any]) -> list[Any]:
    blocks = [b for b in _listed(message.get("content")) if not (isinstance(b, dict) and b.get("type") in UNBOUND_BLOCKS)]
    return [message.get("role"), _bare(blocks)]


def _listed(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(inner) for key, inner in value.items() if key not in UNBOUND_KEYS}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
