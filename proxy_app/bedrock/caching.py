"""Cache breakpoints: what a `cache_control` may say, in which order, and how many there may be.

Knows where blocks may carry one (tools, system, messages, inside tool results; one for the whole request). Invariant: at
most four are left, the last four in prompt order, so that the longest prefixes stay cached and the same conversation keeps
the same ones; none that lives an hour comes after one that lives five minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy_app.bedrock.draft import Block, Draft, rewrite

MOST_BREAKPOINTS = 4
_LONG, _SHORT = "1h", "5m"


def settle_breakpoints(draft: Draft) -> None:
    """Leaves `type` and, where the model has it, a `ttl` that Bedrock knows; takes the first ones out of more than four."""
    marks = _Marks(draft)
    _rewrite_everywhere(draft, marks.settle)
    if isinstance(draft.body.get("cache_control"), dict):
        draft.body["cache_control"] = marks.settle(draft.body)["cache_control"]
    excess = marks.found - MOST_BREAKPOINTS
    if excess > 0:
        draft.note("dropped cache breakpoints")
        _rewrite_everywhere(draft, _FirstOnes(excess).strip)


class _Marks:
    """Settles and counts the breakpoints, in prompt order."""

    def __init__(self, draft: Draft) -> None:
        self.found = 0
        self._draft = draft
        self._has_ttl = draft.allows("cache_control.ttl")
        self._short_seen = False

    def settle(self, block: Block) -> Block:
        control = block.get("cache_control")
        if not isinstance(control, dict):
            return block
        self.found += 1
        kept = {name: value for name, value in control.items() if name == "type" or (name == "ttl" and self._ttl_stays(value))}
        self._short_seen = self._short_seen or kept.get("ttl") != _LONG
        if len(kept) == len(control):
            return block
        for name in ("scope", "ttl"):
            if name in control and name not in kept:
                self._draft.note(f"dropped cache_control.{name}")
        return {**block, "cache_control": kept}

    def _ttl_stays(self, value: Any) -> bool:
        return self._has_ttl and (value == _SHORT or (value == _LONG and not self._short_seen))


class _FirstOnes:
    """Takes the first `excess` breakpoints out."""

    def __init__(self, excess: int) -> None:
        self._excess = excess

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
