"""What says who asks: the client's billing block and its user id.

Neither is for AWS. The user id becomes a digest of itself, which stays the same from turn to turn (newer models bind their
thinking to it) and names no device and no account. Invariant: the digest of a digest is the digest, so a repaired request
can be repaired again.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

from proxy_app.bedrock.draft import Block, Draft, rewrite

BILLING_HEADER = "x-anthropic-billing-header:"
_BILLING_LINES = re.compile(rf"\A(?:\s*{BILLING_HEADER}[^\n]*(?:\n|\Z))+")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def drop_billing_block(draft: Draft) -> None:
    """Only Anthropic takes this line out by itself; anywhere else it would be prompt, and cached. What follows it stays."""
    system = draft.body.get("system")
    if isinstance(system, str) and _is_billing(system):
        _set_system(draft, _without_billing(system))
    elif isinstance(system, list):
        kept = rewrite(system, _unbilled)
        if kept is not system:
            _set_system(draft, kept)


def digest_user(draft: Draft) -> None:
    metadata = draft.body.get("metadata")
    if metadata is None:
        return
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    if not isinstance(user, str) or not user or not draft.allows("metadata"):
        draft.drop("metadata")
        return
    digest = user if _DIGEST.fullmatch(user) else sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
    draft.body["metadata"] = {"user_id": digest}


def _is_billing(text: Any) -> bool:
    return isinstance(text, str) and text.lstrip().startswith(BILLING_HEADER)


def _without_billing(text: str) -> str:
    """In one pass: a body may hold a million such lines."""
    rest = _BILLING_LINES.sub("", text, count=1)
    return rest if rest.strip() else ""


def _unbilled(block: Block) -> Block | None:
    if not _is_billing(block.get("text")):
        return block
    text = _without_billing(block["text"])
    return {**block, "text": text} if text else None


def _set_system(draft: Draft, system: str | list[Any]) -> None:
    draft.note("dropped billing block")
    if system:
        draft.body["system"] = system
    else:
        draft.body.pop("system", None)
