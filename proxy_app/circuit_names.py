"""What circuits are called, and which of them a request meets (SPEC section 5). Pure values.

Invariant: a Plan request meets the widest circuit first, so that the reason it hears is the one that holds longest.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.types import ProviderName


@dataclass(frozen=True, slots=True)
class CircuitName:
    """For Bedrock `access_key_id` is the Bedrock key's id and `family` is "region/model"."""

    access_key_id: str
    provider: ProviderName
    family: str


ALL_FAMILIES = "*"
WORKER_WIDE = CircuitName("*", ProviderName.PLAN, ALL_FAMILIES)


def account_of(name: CircuitName) -> CircuitName:
    """The Plan circuit of the whole key."""
    return CircuitName(name.access_key_id, ProviderName.PLAN, ALL_FAMILIES)


def gates_of(name: CircuitName) -> tuple[CircuitName, ...]:
    if name.provider is not ProviderName.PLAN:
        return (name,)
    if name.family == ALL_FAMILIES:
        return (WORKER_WIDE, name)
    return (WORKER_WIDE, account_of(name), name)
