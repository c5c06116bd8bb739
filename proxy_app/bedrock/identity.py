"""What says who asks: the client's billing block and its user id.

Neither is for AWS. The user id becomes a digest of itself, which stays the same from turn to turn (newer models bind their
thinking to it) and names no device and no account. Invariant: the digest of a digest is the digest, so a repaired request
can be repaired again.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

from proxy_app.bedrock.draft import Draft

BILLING_HEADER = "x-anthropic-billing-header:"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def drop_billing_block(draft: Draft) -> None:
    """Only Anthropic takes this block out by itself; anywhere else it would be prompt, and cached."""
    system = draft.body.get("system")
    if isinstance(system, str) and system.lstrip().startswith(BILLING_HEADER):
        _set_system(draft, system.lstrip().partition("\n")[2])
    elif isinstance(system, list):
        kept = [block for block in system if not _is_billing(block)]
        if len(kept) < len(system):
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


def _is_billing(block: Any) -> bool:
    text = block.get("text") if isinstance(block, dict) else None
    return isinstance(text, str) and text.lstrip().startswith(BILLING_HEADER)


def _set_system(draft: Draft, system: str | list[Any]) -> None:
    draft.note("dropped billing block")
    if system:
        draft.body["system"] = system
    else:
        draft.body.pop("system", None)
