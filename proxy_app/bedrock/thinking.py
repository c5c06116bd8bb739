"""Thinking: its mode as the model takes it, and the removal of thinking blocks that an upstream will not have back.

A block's signature binds it to a model, a conversation and an account, so a conversation that moved between upstreams may
have to give its thinking up (facts on Bedrock section 7). Invariant: after `strip_thinking` no thinking is left, no content
is empty, and nothing asks for what only thinking allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy_app.bedrock.draft import EMPTY_TEXT, Draft, rewrite

LEAST_BUDGET = 1024
_BLOCKS = ("thinking", "redacted_thinking")
_LOW_EFFORTS = (None, "low", "medium", "high")
# A fixed budget as an effort: below the first bound "low", below the second "medium", above that the model's default.
_EFFORT_OF_BUDGET = ((4096, "low"), (12288, "medium"))


def settle_thinking(draft: Draft) -> None:
    """Turns the mode into one that the model has, or takes `thinking` out."""
    thinking = draft.body.get("thinking")
    mode = thinking.get("type") if isinstance(thinking, dict) else None
    if not isinstance(thinking, dict) or not isinstance(mode, str):
        return
    fitting = _fitting_mode(mode, draft)
    if fitting is None or (fitting != "disabled" and _is_ruled_out(fitting, draft)):
        draft.drop("thinking")
        return
    if fitting != mode:
        draft.note(f"turned thinking {mode} into {fitting}")
        draft.merge("thinking", type=fitting)
        _keep_the_amount(mode, fitting, thinking, draft)
    _fit_budget(draft)
    _trim_fields(draft)


def settle_thinking_blocks(draft: Draft) -> None:
    """Strips the conversation's thinking where the model has none, or where it was found to be refused."""
    if not draft.allows("messages.thinking"):
        budgeted = ("enabled",) if draft.allows("thinking.adaptive") else ("enabled", "adaptive")  # what becomes a budget
        stripped = strip_thinking(draft.body, budgeted)
        if stripped is not draft.body:
            draft.body = dict(stripped)
            draft.note("stripped thinking blocks")


def strip_thinking(body: Mapping[str, Any], budgeted: tuple[str, ...] = ("enabled",)) -> Mapping[str, Any]:
    """The same request without any thinking block; the very same object when there is nothing to take out.

    In the modes `budgeted` the API insists on a thinking block before the tool calls of the running turn, so `thinking` goes
    too where that turn calls tools, also when its block was lost before. Never changes its argument. For both upstreams.
    """
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body
    stripped = [_without_thinking(message) for message in messages]
    is_changed = any(now is not before for now, before in zip(stripped, messages, strict=True))
    result = {**body, "messages": stripped} if is_changed else body
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") in budgeted and _calls_tools_last(stripped):
        result = {name: value for name, value in result.items() if name != "thinking"}
        _drop_thinking_edits(result)
    return result


def _without_thinking(message: Any) -> Any:
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    content = message["content"]
    kept = rewrite(content, lambda block: None if block.get("type") in _BLOCKS else block)
    return message if kept is content else {**message, "content": kept or [{"type": "text", "text": EMPTY_TEXT}]}


def _calls_tools_last(messages: list[Any]) -> bool:
    last = next((m for m in reversed(messages) if isinstance(m, dict) and m.get("role") == "assistant"), None)
    content = last.get("content") if last else None
    return isinstance(content, list) and any(isinstance(block, dict) and block.get("type") == "tool_use" for block in content)


def _calls_tools_unthinking(messages: Any) -> bool:
    """Whether the running turn began without a thought, which is refused together with a budget for thinking."""
    if not isinstance(messages, list) or not _calls_tools_last(messages):
        return False
    first = next(m for m in reversed(messages) if isinstance(m, dict) and m.get("role") == "assistant")["content"][0]
    return not (isinstance(first, dict) and first.get("type") in _BLOCKS)


def _drop_thinking_edits(body: dict[str, Any]) -> None:
    """An edit that clears thinking is refused when thinking is off."""
    management = body.get("context_management")
    edits = management.get("edits") if isinstance(management, dict) else None
    if not isinstance(management, dict) or not isinstance(edits, list):
        return
    kept = [edit for edit in edits if not (isinstance(edit, dict) and str(edit.get("type", "")).startswith("clear_thinking_"))]
    if kept:
        body["context_management"] = {**management, "edits": kept}
    else:
        del body["context_management"]


def _fitting_mode(asked: str, draft: Draft) -> str | None:
    rules = draft.capabilities.rules.thinking
    tried = (asked, *rules[asked].instead) if asked in rules else ()
    return next((mode for mode in tried if _has_mode(mode, draft)), None)


def _has_mode(mode: str, draft: Draft) -> bool:
    config = draft.body.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    depends = mode == "disabled" and effort not in _LOW_EFFORTS and not draft.allows("thinking.disabled.any_effort")
    return draft.allows(f"thinking.{mode}") and not depends


def _is_ruled_out(mode: str, draft: Draft) -> bool:
    """Beside a tool that is forced there is no thinking; with a budget a running turn must have begun with a thought."""
    choice = draft.body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
        return True
    return mode == "enabled" and _calls_tools_unthinking(draft.body.get("messages"))


def _keep_the_amount(mode: str, fitting: str, thinking: Mapping[str, Any], draft: Draft) -> None:
    """A budget said as an effort, or the other way round."""
    if fitting == "enabled":
        draft.merge("thinking", budget_tokens=_budget_of_effort(draft))
        return
    budget = thinking.get("budget_tokens")
    draft.merge("thinking", budget_tokens=None)
    config = draft.body.get("output_config", {})
    effort = next((name for bound, name in _EFFORT_OF_BUDGET if isinstance(budget, int) and budget < bound), None)
    if mode == "enabled" and effort and isinstance(config, dict) and "effort" not in config:
        draft.merge("output_config", effort=effort)  # where the model has no effort, it goes with the others


def wanted_budget(draft: Draft) -> int:
    """The tokens that are for thinking, before it is settled; 0 where there will be no budget."""
    thinking = draft.body.get("thinking")
    mode = thinking.get("type") if isinstance(thinking, dict) else None
    if not isinstance(thinking, dict) or not isinstance(mode, str) or _fitting_mode(mode, draft) != "enabled":
        return 0
    budget = thinking.get("budget_tokens") if mode == "enabled" else _budget_of_effort(draft)
    return budget if isinstance(budget, int) else 0


def _budget_of_effort(draft: Draft) -> int:
    config = draft.body.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    budgets = draft.capabilities.rules.effort_budgets
    return budgets.get(effort, budgets["high"]) if isinstance(effort, str) else budgets["high"]


def _fit_budget(draft: Draft) -> None:
    """A budget must be at least 1024 and below `max_tokens`; where that cannot be, there is no thinking."""
    thinking, most = draft.body["thinking"], draft.body.get("max_tokens")
    if thinking["type"] != "enabled" or not isinstance(most, int):
        return
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int):
        budget = _budget_of_effort(draft)
    if most <= LEAST_BUDGET:
        draft.drop("thinking")
    else:
        draft.merge("thinking", budget_tokens=max(LEAST_BUDGET, min(budget, most - 1)))


def _trim_fields(draft: Draft) -> None:
    thinking = draft.body.get("thinking")
    if not isinstance(thinking, dict):
        return
    known = draft.capabilities.rules.thinking[thinking["type"]].fields
    kept = {name: value for name, value in thinking.items() if name in known and _field_stays(name, value, draft)}
    if len(kept) < len(thinking):
        draft.body["thinking"] = kept
        draft.note_dropped("thinking", thinking.keys() - kept.keys(), ("budget_tokens", "display", "block_binding"))


def _field_stays(name: str, value: Any, draft: Draft) -> bool:
    if name == "display":
        return draft.allows("thinking.display") and (value != "updates" or draft.allows("thinking.display.updates"))
    return name != "block_binding" or draft.allows("thinking.block_binding")
