"""Cache breakpoints: what a `cache_control` may say, and how many there may be.

Knows where blocks may carry one (tools, system, messages, inside tool results). Invariant: at most four are left, the last
four in prompt order, so that the longest prefixes stay cached and the same conversation keeps the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy_app.bedrock.draft import Block, Draft, rewrite

MOST_BREAKPOINTS = 4
_TTLS = ("5m", "1h")


def clean_breakpoints(draft: Draft) -> None:
    """Leaves `type` and, where the model has it, a `ttl` that Bedrock knows."""
    _rewrite_everywhere(draft, lambda block: _cleaned(block, draft))


def limit_breakpoints(draft: Draft) -> None:
    """Takes the first ones out when there are more than four."""
    seen = _Countdown()
    _rewrite_everywhere(draft, seen.count)
    excess = seen.found - MOST_BREAKPOINTS
    if excess > 0:
        draft.note("dropped cache breakpoints")
        _rewrite_everywhere(draft, _Countdown(excess).strip)


class _Countdown:
    """Counts breakpoints in prompt order, and takes out the first `excess` of them."""

    def __init__(self, excess: int = 0) -> None:
        self.found = 0
        self._excess = excess

    def count(self, block: Block) -> Block:
        self.found += isinstance(block.get("cache_control"), dict)
        return block

    def strip(self, block: Block) -> Block:
        if self._excess == 0 or not isinstance(block.get("cache_control"), dict):
            return block
        self._excess -= 1
        return {name: value for name, value in block.items() if name != "cache_control"}


def _rewrite_everywhere(draft: Draft, change: Callable[[Block], Block]) -> None:
    for key in ("tools", "system"):
        blocks = draft.body.get(key)
        if isinstance(blocks, list):
            draft.body[key] = rewrite(blocks, change)
    draft.rewrite_blocks(change)


def _cleaned(block: Block, draft: Draft) -> Block:
    control = block.get("cache_control")
    if not isinstance(control, dict):
        return block
    kept = {name: value for name, value in control.items() if name == "type" or (name == "ttl" and _ttl_stays(value, draft))}
    if len(kept) == len(control):
        return block
    for name in ("scope", "ttl"):
        if name in control and name not in kept:
            draft.note(f"dropped cache_control.{name}")
    return {**block, "cache_control": kept}


def _ttl_stays(value: Any, draft: Draft) -> bool:
    return value in _TTLS and draft.allows("cache_control.ttl")
