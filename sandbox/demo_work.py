"""A developer of the demo at Claude Code: sessions of some turns, agents that begin agents, questions of differing length.

Knows what a client sends, and of the answer who gave it. Invariant: ids of sessions and agents look as a client's do, and come
out of seeded dice.
"""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
HEADERS = {
    "content-type": "application/json",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "oauth-2025-04-20",
}
# What a newer client asks for. The demo's Bedrock takes a part of it, and the product learns which by being refused.
BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,afk-mode-2026-01-31,"
    "fine-grained-tool-streaming-2025-05-14,effort-2025-11-24"
)
BETAS_OF_BEDROCK = ("--allow-sets", "7")
_USES: dict[str, Any] = {
    "max_tokens": 4096,
    "thinking": {"type": "adaptive"},
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "output_config": {"effort": "high"},
    "tools": [{"name": "read", "input_schema": {"type": "object"}}],
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a session; `agent_id` and `parent_id` empty in the main conversation."""

    session_id: str = ""
    agent_id: str = ""
    parent_id: str = ""
    model: str = MODELS[1]
    words: int = 1
    is_newer: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What a developer got: `provider` and `fallback` are the proxy's own headers."""

    status: int
    provider: str
    fallback: str
    text: str


def turns_of(dice: random.Random, *, is_newer: bool = False) -> Iterator[Turn]:
    """Endless work. A conversation grows; an agent may begin others, up to three below one another."""
    while True:
        session_id, model = str(uuid.UUID(int=dice.getrandbits(128), version=4)), dice.choice(MODELS)
        agents = [("", "")]
        for number in range(dice.randrange(8, 30)):
            if number > 1 and len(agents) < 5 and dice.random() < 0.35:
                parent = dice.choice(agents[-2:])[0]
                agents.append((f"a{dice.getrandbits(64):016x}", parent))
            agent_id, parent_id = dice.choice(agents)
            of = MODELS[2] if agent_id and dice.random() < 0.4 else model
            yield Turn(session_id, agent_id, parent_id, of, dice.randrange(40, 400) * (number + 1), is_newer)


def ask(base_url: str, credential: str, turn: Turn) -> Answered:
    said = "hello " * turn.words
    body: dict[str, Any] = {
        "model": turn.model,
        "max_tokens": 200,
        "stream": True,
        "messages": [{"role": "user", "content": said}],
    }
    body |= _USES if turn.is_newer else {}
    request = urllib.request.Request(
        f"{base_url}/v1/messages?beta=true", json.dumps(body).encode(), _headers(turn) | {"authorization": f"Bearer {credential}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return _answered(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return _answered(error.code, error.headers, error.read())
    except OSError as error:
        return Answered(0, "", "", str(error))


def _headers(turn: Turn) -> dict[str, str]:
    ids = {
        "x-claude-code-session-id": turn.session_id,
        "x-claude-code-agent-id": turn.agent_id,
        "x-claude-code-parent-agent-id": turn.parent_id,
    }
    betas = {"anthropic-beta": f"{HEADERS['anthropic-beta']},{BETAS}"} if turn.is_newer else {}
    return HEADERS | betas | {name: value for name, value in ids.items() if value}


def _answered(status: int, headers: Any, body: bytes) -> Answered:
    named = dict(headers.items())
    events = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: ")]
    said = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    return Answered(status, named.get("x-proxy-provider", "nobody"), named.get("x-proxy-fallback", ""), said)
