"""What both platforms demand of thinking in a conversation that comes back: signed, untouched, and kept while tools run.

Knows the rules that do not depend on a model's generation; refuses to know betas and bindings. Pure.
Invariant: a block of another platform is taken on trust, one's own must be as it was made.
"""

from __future__ import annotations

from sandbox.binding import says, seal_of
from sandbox.conversation import Invalid, Json, blocks_of


def check_signatures(messages: list[Json], platform: str) -> None:
    """Every thinking block has a signature, and those of this platform fit their thought."""
    for path, block in blocks_of(messages):
        if block["type"] != "thinking":
            continue
        if not block.get("signature"):
            raise Invalid(f"{path}.thinking.signature: Field required")
        try:
            seal = seal_of(str(block["signature"]), platform)
        except ValueError:
            raise Invalid(f"{path}: Invalid `signature` in `thinking` block") from None
        if seal is not None and not says(seal, str(block.get("thinking", ""))):
            raise Invalid(f"{path}: Invalid `signature` in `thinking` block")


def check_kept_thinking(body: Json) -> None:
    """With a thinking budget, the last turn of the assistant must begin with its thought when it called tools."""
    messages = body["messages"]
    budgeted = (body.get("thinking") or {}).get("type") == "enabled"
    last = next((index for index in reversed(range(len(messages))) if messages[index]["role"] == "assistant"), None)
    if not budgeted or last is None:
        return
    turn = messages[last]["content"]
    if isinstance(turn, list) and any(block["type"] == "tool_use" for block in turn):
        first = turn[0]["type"]
        if first not in ("thinking", "redacted_thinking"):
            raise Invalid(
                f"messages.{last}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. "
                "When `thinking` is enabled, a final `assistant` message must start with a thinking block."
            )
