"""What Bedrock refuses: the table of checks, and those of betas, fields, thinking and settings.

Knows the wording of validation errors and which beta opens which field; refuses to know HTTP and ids of profiles.
Pure. Invariant: the first refusal in the table's order is the answer, and a body that passes is one Bedrock serves.
Sources: AWS and Anthropic documentation and published error reports, as of 2026-11. Shares nothing with the repairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox import bedrock_blocks as blocks
from sandbox import bedrock_thinking as thinking
from sandbox.bedrock_models import Model
from sandbox.binding import Seal, says, seal_of, stands
from sandbox.conversation import EXTRA, Invalid, Json, blocks_of, check_messages, check_required, check_system, check_tools
from sandbox.kept_thinking import check_kept_thinking
from sandbox.speech import thinking_is_on

SIGNATURE_PREFIX = "bedrock-"
OLDEST_VERSION = "bedrock-2023-05-31"
LATEST_VERSION = "2026-10-21"
FIELDS = frozenset({
    "anthropic_version", "anthropic_beta", "max_tokens", "messages", "system", "stop_sequences", "temperature", "top_p", "top_k",
    "tools", "tool_choice", "thinking", "metadata", "output_config",
})  # fmt: skip
OPENED_FIELDS = {
    "context_management": frozenset({"context-management-2025-06-27"}),
    "safeguards": frozenset({"dangerous-tool-use-2026-09-03"}),
}
TURN_BETAS = frozenset({"per-turn-control-2026-07-01", "mid-conversation-output-config-2026-07-01"})
EDIT_BETAS = {
    "clear_tool_uses_20250919": "context-management-2025-06-27",
    "clear_thinking_20251015": "context-management-2025-06-27",
    "compact_20260112": "compact-2026-01-12",
}
THINKING_EDITS = "clear_thinking_"
EDIT_KEYS = {
    "clear_tool_uses_20250919": frozenset({"trigger", "keep", "clear_at_least", "exclude_tools", "clear_tool_inputs"}),
    "clear_thinking_20251015": frozenset({"keep"}),
    "compact_20260112": frozenset({"trigger", "pause_after_compaction", "instructions"}),
}


@dataclass(frozen=True, slots=True)
class Submission:
    """A body on its way to a model. `accepted` is what this account's models take of betas."""

    model: Model
    body: Json
    prefix: str
    accepted: frozenset[str]
    errors_on_moved_thinking: bool = True
    betas: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        given = self.body.get("anthropic_beta")
        names = given if isinstance(given, list) else []
        object.__setattr__(self, "betas", frozenset(str(name) for name in names))

    def opened(self, *flags: str) -> bool:
        return any(flag in self.betas for flag in flags)


def refuse(submission: Submission) -> None:
    """Raises Invalid with Bedrock's words when Bedrock would not serve this body."""
    try:
        for check in CHECKS:
            check(submission)
    except (AttributeError, KeyError, TypeError) as error:  # a value of a type that no check expects
        raise Invalid("Malformed input request, please reformat your input and try again.") from error


def dropped_thinking(submission: Submission) -> list[Json]:
    """The thinking blocks that the model will not see although the request is served, with the reason for each."""
    messages = submission.body["messages"]
    transformations: list[Json] = []
    for path, block in blocks_of(messages):
        if block["type"] == "thinking" and (reason := _why_dropped(submission, path, block)):
            transformations.append({"type": "thinking_dropped", "path": path, "reason": reason})
    return transformations


def _check_version(submission: Submission) -> None:
    check_required(submission.body, ("anthropic_version", "max_tokens", "messages"))
    version = submission.body["anthropic_version"]
    allowed = {OLDEST_VERSION} | ({LATEST_VERSION} if submission.model.latest_version else set())
    if version not in allowed:
        raise Invalid(f"anthropic_version: Input should be '{OLDEST_VERSION}'")


def _check_length(submission: Submission) -> None:
    asked, most = submission.body["max_tokens"], submission.model.most_output
    if asked > most:
        name = submission.model.name
        raise Invalid(f"max_tokens: {asked} > {most}, which is the maximum allowed number of output tokens for {name}")


def _check_betas(submission: Submission) -> None:
    given = submission.body.get("anthropic_beta")
    if given is not None and not isinstance(given, list):
        raise Invalid("anthropic_beta: Input should be a valid list")
    unknown = [str(name) for name in given or [] if name not in submission.accepted]
    if not unknown:
        return
    if not submission.model.newer_wording:
        raise Invalid("invalid beta flag")
    named = ", ".join(f"`{name}`" for name in unknown)
    raise Invalid(
        f"Unexpected value(s) {named} for the `anthropic-beta` header. Please consult our documentation at "
        "docs.claude.com or try again without the header."
    )


def _check_fields(submission: Submission) -> None:
    allowed = FIELDS | ({"cache_control"} if submission.model.top_level_cache_control else set())
    edits = (submission.body.get("context_management") or {}).get("edits", [])
    if submission.opened("compact-2026-01-12") and any(edit.get("type") == "compact_20260112" for edit in edits):
        allowed = allowed | {"context_management"}
    for name in submission.body:
        if name not in allowed and not submission.opened(*OPENED_FIELDS.get(name, ())):
            raise Invalid(f"{name}: {EXTRA}")
    for name in submission.body.get("metadata") or {}:
        if name != "user_id":
            raise Invalid(f"metadata.{name}: {EXTRA}")
    _check_inside("context_management", submission.body.get("context_management") or {}, frozenset({"edits"}))
    for index, guard in enumerate(submission.body.get("safeguards") or ()):
        _check_inside(f"safeguards.{index}", guard, frozenset({"type", "classifier_context"}))
    for index, edit in enumerate(edits):
        kind = edit.get("type")
        if EDIT_BETAS.get(kind) not in submission.betas:
            raise Invalid(f"context_management.edits.{index}: Input tag '{kind}' does not match any of the expected tags")
        if kind.startswith(THINKING_EDITS) and not thinking_is_on(submission.body):
            raise Invalid(f"`{kind}` strategy requires `thinking` to be enabled or adaptive")
        _check_inside(f"context_management.edits.{index}.{kind}", edit, EDIT_KEYS[kind] | {"type"})


def _check_inside(path: str, value: Json, known: frozenset[str]) -> None:
    for name in value:
        if name not in known:
            raise Invalid(f"{path}.{name}: {EXTRA}")


def _check_conversation(submission: Submission) -> None:
    roles = ("user", "assistant", "system") if submission.model.role_system else ("user", "assistant")
    messages = submission.body["messages"]
    check_messages(messages, roles)
    check_system(submission.body.get("system"))
    check_tools(submission.body.get("tools"))
    _check_government(submission)
    for index, message in enumerate(messages):
        for name in message:
            turn = name == "output_config" and submission.model.message_output_config and submission.opened(*TURN_BETAS)
            if name not in ("role", "content") and not turn:
                raise Invalid(f"messages.{index}.{name}: {EXTRA}")
        _check_inside(f"messages.{index}.output_config", message.get("output_config") or {}, frozenset({"effort"}))
    spoken = [message for message in messages if message["role"] != "system"]
    if spoken and spoken[-1]["role"] == "assistant" and not submission.model.prefill:
        raise Invalid("This model does not support assistant message prefill. The conversation must end with a user message.")


def _check_government(submission: Submission) -> None:
    system = submission.body.get("system")
    texts = [block.get("text", "") for block in system] if isinstance(system, list) else [system or ""]
    if submission.prefix == "us-gov" and any(text.startswith("x-anthropic-billing-header") for text in texts):
        raise Invalid("x-anthropic-billing-header is a reserved keyword and may not be used in the system prompt.")


def _check_settings(submission: Submission) -> None:
    """Sampling, effort, structured output, and forced tools."""
    body, model = submission.body, submission.model
    for name, default in (("temperature", 1), ("top_p", 1), ("top_k", None)):
        if not model.sampling and name in body and body[name] != default:
            raise Invalid(f"`{name}` is deprecated for this model.")
    if thinking_is_on(body):
        thinking.check_sampling(body)
    config = body.get("output_config") or {}
    for name in config:
        if name not in ("effort", "format") or (name == "format" and not model.structured_output):
            raise Invalid(f"output_config.{name}: {EXTRA}")
    _check_inside("output_config.format", config.get("format") or {}, frozenset({"type", "schema"}))
    _check_effort(submission, config.get("effort"))
    _check_tool_choice(submission, body.get("tool_choice"))


def _check_effort(submission: Submission, effort: Any) -> None:
    model = submission.model
    if effort is None:
        return
    if not model.efforts or (model.effort_needs_beta and not submission.opened("effort-2025-11-24")):
        raise Invalid("This model does not support the effort parameter.")
    if effort not in model.efforts:
        raise Invalid(f"output_config.effort: Input should be {', '.join(repr(name) for name in model.efforts)}")


def _check_tool_choice(submission: Submission, choice: Any) -> None:
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if not submission.body.get("tools"):
        raise Invalid("tool_choice may only be specified while providing tools.")
    names = {tool.get("name") for tool in submission.body["tools"]}
    if kind == "tool" and choice.get("name") not in names:
        raise Invalid(f"Tool '{choice.get('name')}' not found in provided tools")
    if kind not in ("any", "tool"):
        return
    if not submission.model.forced_tool_choice:
        raise Invalid(f"tool_choice: '{kind}' is not supported for this model. Use 'auto' or 'none'.")
    if thinking_is_on(submission.body):
        raise Invalid("Thinking may not be enabled when tool_choice forces tool use.")


def _check_signatures(submission: Submission) -> None:
    """Own blocks must be whole, and where their model binds them, must stand where they stood."""
    for path, block in blocks_of(submission.body["messages"]):
        if block["type"] != "thinking":
            continue
        if not block.get("signature"):
            raise Invalid(f"{path}.thinking.signature: Field required")
        seal = _seal(path, block)
        if seal is not None and not says(seal, str(block.get("thinking", ""))):
            raise Invalid(f"{path}: Invalid `signature` in `thinking` block")
        if _why_dropped(submission, path, block) == "prefix" and _moved_is_an_error(submission):
            raise Invalid(f"{path}: Invalid `signature` in `thinking` block. The block is bound to a different conversation.")


def _seal(path: str, block: Json) -> Seal | None:
    try:
        return seal_of(str(block["signature"]), SIGNATURE_PREFIX)
    except ValueError:
        raise Invalid(f"{path}: Invalid `signature` in `thinking` block") from None


def _why_dropped(submission: Submission, path: str, block: Json) -> str | None:
    """Precedence as documented: organization, then model, then prefix."""
    seal = _seal(path, block)
    if seal is None:
        return "organization" if submission.model.binds_model else None
    if submission.model.binds_model and seal.model != submission.model.name:
        return "model"
    moved = submission.model.binds_prefix and not stands(seal, submission.body, int(path.split(".")[1]))
    return "prefix" if moved else None


def _moved_is_an_error(submission: Submission) -> bool:
    binding = (submission.body.get("thinking") or {}).get("block_binding") or {}
    default = "error" if submission.errors_on_moved_thinking else "drop_block"
    return bool(binding.get("prefix_mismatch_behavior", default) == "error")


def _check_tools(submission: Submission) -> None:
    blocks.check_tools(submission.model, submission.betas, submission.body.get("tools") or [])


def _check_blocks(submission: Submission) -> None:
    blocks.check_blocks(submission.model, submission.betas, submission.body)


def _check_thinking(submission: Submission) -> None:
    thinking.check_thinking(submission.model, submission.betas, submission.body)


def _check_kept_thinking(submission: Submission) -> None:
    check_kept_thinking(submission.body)


def _check_cache_marks(submission: Submission) -> None:
    blocks.check_cache_marks(submission.model, submission.body)


CHECKS: tuple[Callable[[Submission], None], ...] = (
    _check_version, _check_length, _check_betas, _check_fields, _check_conversation, _check_tools, _check_blocks,
    _check_cache_marks, _check_thinking, _check_settings, _check_signatures, _check_kept_thinking,
)  # fmt: skip
