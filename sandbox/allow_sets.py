"""A model that takes only a random part of what its kind takes: betas, and fields with the beta that opens them.

For tests of learning: nothing in the product's data can know these sets. Pure. Invariant: the same seed and model always give
the same part, in every process, and never more than the model itself accepts.
"""

from __future__ import annotations

import random
from dataclasses import replace

from sandbox.bedrock_models import BETAS_5_5, Model

KEPT = 0.6


def part_of(model: Model, seed: str | None) -> Model:
    """The model itself without a seed."""
    if seed is None:
        return model
    chance = random.Random(f"{seed}/{model.name}")
    betas = frozenset(flag for flag in sorted(model.betas & BETAS_5_5) if chance.random() < KEPT)
    return replace(
        model,
        betas=betas,
        role_system=_kept(chance, model.role_system),
        message_output_config=_kept(chance, model.message_output_config),
        strict_tools=_kept(chance, model.strict_tools),
        structured_output=_kept(chance, model.structured_output),
        cache_ttl=_kept(chance, model.cache_ttl),
        tool_search=model.tool_search if _kept(chance, True) else "no",
    )


def _kept(chance: random.Random, able: bool) -> bool:
    return chance.random() < KEPT and able
