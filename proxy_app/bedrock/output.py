"""How the answer is asked for: length, effort, format, sampling, and what the context manager may clear.

Invariant: what the model refuses is taken out or said in words (a JSON schema becomes an instruction), and no object is
left empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy_app.bedrock.betas import holds
from proxy_app.bedrock.draft import Draft
from proxy_app.bedrock.thinking import wanted_budget
from proxy_app.json_body import written_json

_LEAST_ANSWER = 1024  # left for the answer beside a thinking budget
_LEAST_TOP_P_WITH_THINKING = 0.95


def settle_length(draft: Draft) -> None:
    """Never asks for more than the model gives on Bedrock, nor than the operator allows beside what is for thinking.

    Bedrock sets `max_tokens` aside from the account's quota before it begins: Claude Code's usual ones throttle small accounts.
    """
    _keep_to_cap(draft)
    asked, most = draft.body.get("max_tokens"), draft.capabilities.max_output
    if isinstance(asked, int) and most is not None and asked > most:
        draft.body["max_tokens"] = most
        draft.note(f"lowered max_tokens to {most}")


def _keep_to_cap(draft: Draft) -> None:
    asked, cap = draft.body.get("max_tokens"), draft.capabilities.length_cap
    if not cap or not isinstance(asked, int):
        return
    budget = wanted_budget(draft)
    most = max(cap, budget + _LEAST_ANSWER) if budget else cap
    if asked > most:
        draft.body["max_tokens"] = most
        draft.note(f"capped max_tokens at {most}")


def settle_output_config(draft: Draft) -> None:
    """Effort within the model's range, a format where it has one, nothing else."""
    _adopt_output_format(draft)
    config = draft.body.get("output_config")
    if not isinstance(config, dict):
        return
    changes: dict[str, Any] = {name: None for name in config if name not in draft.capabilities.rules.output_fields}
    if "effort" in config:
        changes["effort"] = _fitting_effort(config["effort"], draft)
    if "format" in config and not draft.allows("output_config.format"):
        changes["format"] = None
        _instruct_format(config["format"], draft)
    refused = [name for name, value in changes.items() if value is None]
    draft.note_dropped("output_config", refused, draft.capabilities.rules.output_fields)
    if changes:
        draft.merge("output_config", **changes)


def settle_sampling(draft: Draft) -> None:
    """Where a model samples in its own way only the defaults may be named; where it thinks, no temperature and no top_k."""
    sampled, named = draft.allows("sampling"), draft.allows("sampling.default")
    thinks = holds(draft.body, "thinking")
    for name, default in draft.capabilities.rules.sampling_defaults.items():
        value = draft.body.get(name)
        stays = named if value == default else sampled and (not thinks or _stays_with_thinking(name, value))
        if not stays:
            draft.drop(name)


def settle_context(draft: Draft) -> None:
    """Keeps the edits that the model has; one that clears thinking needs thinking on."""
    management = draft.body.get("context_management")
    if management is None:
        if not draft.allows("context_management"):
            draft.drop("context_management")
        return
    edits = management.get("edits") if isinstance(management, dict) else None
    if not isinstance(management, dict) or not isinstance(edits, list):
        draft.drop("context_management")
        return
    kept = [edit for edit in edits if _edit_stays(edit, draft)]
    if not kept and (edits or not draft.allows("context_management")):
        draft.drop("context_management")
    elif len(kept) < len(edits):
        draft.note("dropped context edits")
        draft.body["context_management"] = {**management, "edits": kept}


def _adopt_output_format(draft: Draft) -> None:
    """`output_format` is the older name of `output_config.format`."""
    old = draft.body.pop("output_format", None)
    config = draft.body.get("output_config") or {}
    if old is not None and isinstance(config, dict) and "format" not in config:
        draft.body["output_config"] = {**config, "format": old}


def _fitting_effort(effort: Any, draft: Draft) -> Any:
    order, ceiling = draft.capabilities.rules.effort_order, draft.capabilities.effort_ceiling
    if not draft.allows("output_config.effort") or effort not in order:
        return None
    if ceiling is None or order.index(effort) <= order.index(ceiling):
        return effort
    draft.note(f"lowered effort to {ceiling}")
    return ceiling


def _instruct_format(asked: Any, draft: Draft) -> None:
    schema = asked.get("schema") if isinstance(asked, dict) else None
    if not isinstance(schema, Mapping):
        return
    try:
        text = written_json(schema).decode()
    except RecursionError:
        return
    draft.instruct(f"Answer with exactly one JSON value that is valid against this JSON schema, without any other text: {text}")
    draft.note("turned output format into an instruction")


def _edit_stays(edit: Any, draft: Draft) -> bool:
    needs = draft.capabilities.rules.edits.get(str(edit.get("type")), ()) if isinstance(edit, dict) else ()
    return bool(needs) and all(holds(draft.body, need) if need == "thinking" else draft.allows(need) for need in needs)


def _stays_with_thinking(name: str, value: Any) -> bool:
    return name == "top_p" and isinstance(value, int | float) and value >= _LEAST_TOP_P_WITH_THINKING
