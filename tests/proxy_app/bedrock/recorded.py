"""The recorded requests of the real client, with the texts that were cut out filled to their length again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_FIXTURE = Path(__file__).parent / "fixtures" / "claude_code_requests.json"
_STANDIN = re.compile(r"<str (\d+)>")
# What asks for an answer that Bedrock can give: all but the count and the nested request for a web search.
ANSWERABLE = (
    "first_turn", "first_turn_oauth", "no_experimental_betas", "title", "quota_probe", "sonnet_4_5", "non_streaming_fallback",
    "bedrock_mode",
)  # fmt: skip
SIX_MODELS = (
    "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-4-7", "claude-sonnet-5", "claude-opus-5-5", "claude-sonnet-5-5",
)  # fmt: skip


def recorded_requests() -> dict[str, Any]:
    """Bodies and betas by name."""
    filled: dict[str, Any] = _expanded(json.loads(_FIXTURE.read_text()))
    return filled


def _expanded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _expanded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_expanded(part) for part in value]
    return _STANDIN.sub(lambda found: ("some words " * 3000)[: int(found[1])], value) if isinstance(value, str) else value
