"""What Bedrock refuses of `thinking` and of what stands beside it.

Knows the modes, their fields, and what thinking rules out; refuses to know signatures and HTTP. Pure. Invariant: a body that
passes names only a mode that its model has. Sources: AWS and Anthropic documentation and published error reports, as of 2026-11.
"""

from __future__ import annotations

from typing import Any

from sandbox.bedrock_models import Model
from sandbox.conversation import EXTRA, Invalid, Json

THINKING_KEYS = {"enabled": frozenset({"type", "budget_tokens", "display"}), "disabled": frozenset({"type"})}
OTHER_THINKING_KEYS = frozenset({"type", "display"})
LEAST_TOP_P_WITH_THINKING = 0.95


def check_thinking(model: Model, betas: frozenset[str], body: Json) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    _check_type(model, body, kind)
    allowed = THINKING_KEYS.get(str(kind), OTHER_THINKING_KEYS)
    if kind != "disabled" and "thinking-binding-controls-2026-08-01" in betas:
        allowed = allowed | {"block_binding"}
    for name in thinking:
        if name not in allowed or (name == "display" and not model.thinking_display):
            raise Invalid(f"thinking.{kind}.{name}: {EXTRA}")
    for name in thinking.get("block_binding") or {}:
        if name != "prefix_mismatch_behavior":
            raise Invalid(f"thinking.{kind}.block_binding.{name}: {EXTRA}")
    displays = ["summarized", "omitted"] + (["updates"] if "thinking-display-updates-2026-08-18" in betas else [])
    if thinking.get("display", "omitted") not in displays:
        raise Invalid(f"thinking.{kind}.display: Input should be {','.join(repr(name) for name in displays)}")
    if kind == "enabled":
        _check_budget(body, thinking.get("budget_tokens"))


def _check_type(model: Model, body: Json, kind: Any) -> None:
    effort = (body.get("output_config") or {}).get("effort", "high")
    if not model.thinking:
        raise Invalid(f"thinking: {EXTRA}")
    if kind == "enabled" and kind not in model.thinking:
        raise Invalid(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" '
            "to control thinking behavior."
        )
    if kind == "adaptive" and kind not in model.thinking:
        raise Invalid("adaptive thinking is not supported on this model")
    if kind not in model.thinking or (kind == "disabled" and model.disabled_up_to_high and effort in ("max", "xhigh")):
        raise Invalid(f'"thinking.type.{kind}" is not supported for this model.')


def _check_budget(body: Json, budget: Any) -> None:
    if not isinstance(budget, int):
        raise Invalid("thinking.enabled.budget_tokens: Field required")
    if budget < 1024:
        raise Invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if budget >= body["max_tokens"]:
        raise Invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")


def check_sampling(body: Json) -> None:
    if body.get("temperature", 1) != 1:
        raise Invalid("`temperature` may only be set to 1 when thinking is enabled.")
    if body.get("top_k") is not None:
        raise Invalid("`top_k` must be unset when thinking is enabled.")
    if body.get("top_p", 1) < LEAST_TOP_P_WITH_THINKING:
        raise Invalid("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.")
