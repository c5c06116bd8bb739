"""The request while it is being repaired, and the two walks that every step shares.

Knows the shape of a Messages body (messages, contents, blocks) and none of the rules. Invariant: nothing reachable from
the caller's body is ever changed; a step replaces what it changes, so an untouched message stays the very same object.
Malformed parts are left as they are: refusing them is the model's business.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy_app.bedrock.capabilities import Capabilities

Block = Mapping[str, Any]
EMPTY_TEXT = "(empty)"  # stands where removing blocks would leave a content empty, which the API refuses


@dataclass(slots=True)
class Draft:
    """`body` is our own shallow copy. `open` are the features this request may use: accepted, and opened by a beta."""

    body: dict[str, Any]
    capabilities: Capabilities
    betas: tuple[str, ...]
    open: frozenset[str]
    notes: list[str] = field(default_factory=list)
    lost_tools: set[str] = field(default_factory=set)  # names of tools that were taken out
    loaded_tools: set[str] = field(default_factory=set)  # tools whose addition was dropped: there from the start instead
    defined_tools: set[str] = field(default_factory=set)  # tools defined in the conversation itself
    replaced: set[str] = field(default_factory=set)  # features dropped for which a beta may stand in

    def allows(self, feature: str) -> bool:
        """The empty feature is what nothing needs."""
        return not feature or feature in self.open

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def note_dropped(self, place: str, names: Iterable[str], known: Container[str]) -> None:
        """Says which fields went; a name that we do not know comes from the client and stays out of notes."""
        for name in sorted(names):
            self.note(f"dropped {place}.{name}" if name in known else f"dropped a field of {place}")

    def drop(self, key: str) -> None:
        """Takes a top-level field out, and says so."""
        if key in self.body:
            del self.body[key]
            self.note(f"dropped {key}")

    def merge(self, key: str, **changes: Any) -> None:
        """Replaces keys of a top-level object; None takes a key out, and an object left empty goes too."""
        merged = {**self.body.get(key, {}), **changes}
        merged = {name: value for name, value in merged.items() if name not in changes or value is not None}
        if merged:
            self.body[key] = merged
        else:
            self.body.pop(key, None)

    def instruct(self, text: str) -> None:
        """Adds a block at the end of `system`, after every cache breakpoint there."""
        self.body["system"] = [*as_blocks(self.body.get("system")), {"type": "text", "text": text}]

    def rewrite_blocks(self, change: Callable[[Block], Block | None]) -> None:
        """Runs `change` over every block of every message, those inside tool results too."""
        messages = self.body.get("messages")
        if isinstance(messages, list):
            self.body["messages"] = [_rewritten(message, change) for message in messages]


def as_blocks(content: Any) -> list[Any]:
    """A content as a list of blocks: a string is one text block, an empty one none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content) if isinstance(content, list) else []


def _rewritten(message: Any, change: Callable[[Block], Block | None]) -> Any:
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    content = message["content"]
    kept = rewrite(content, lambda block: _rewritten_inside(block, change))
    if kept is content:
        return message
    return {**message, "content": kept or [{"type": "text", "text": EMPTY_TEXT}]}


def rewrite(blocks: list[Any], change: Callable[[Block], Block | None]) -> list[Any]:
    """`change` returns the same block, another one, or None to take it out. The same list when nothing changed."""
    result = []
    changed = False
    for block in blocks:
        now = change(block) if isinstance(block, dict) else block
        changed = changed or now is not block
        if now is not None:
            result.append(now)
    return result if changed else blocks


def _rewritten_inside(block: Block, change: Callable[[Block], Block | None]) -> Block | None:
    """A tool result holds blocks, which hold none: one level, whatever a body claims."""
    now = change(block)
    if now is None or now.get("type") != "tool_result" or not isinstance(now.get("content"), list):
        return now
    inner = rewrite(now["content"], change)
    return now if inner is now["content"] else {**now, "content": inner}
