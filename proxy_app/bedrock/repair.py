"""A request to Anthropic as Bedrock's InvokeModel takes it.

Pure and deterministic: the same request gives the same bytes, turn after turn, because newer models bind their thinking to
the conversation before it. What a model accepts is data (`capabilities.py`); this file is the order of the steps, each a
small function of one noun. Invariants: the caller's body is never changed; what Bedrock accepts is left alone; repairing a
repaired request changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy_app import json_body
from proxy_app.bedrock import betas as flags
from proxy_app.bedrock import caching, history, identity, messages, output, thinking, tools
from proxy_app.bedrock.capabilities import Capabilities
from proxy_app.bedrock.draft import Draft
from proxy_app.bedrock.learned import Learned
from proxy_app.json_body import Rest, no_rest

ANTHROPIC_VERSION = "bedrock-2023-05-31"
_UNSAID = ("model", "stream")  # these are in the URL, so leaving them out is not worth a note


class CannotServe(Exception):
    """Bedrock has no answer to this request, whatever is left out of it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Repaired:
    """`body` is ready to serialise; `notes` are reason codes for the trace, at most one of each."""

    body: dict[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()
    core: frozenset[str] = frozenset()  # features that are never left out for being unknown

    @property
    def betas(self) -> tuple[str, ...]:
        return tuple(self.body.get("anthropic_beta", ()))

    def uses(self, feature: str) -> bool:
        return flags.holds(self.body, feature)

    def extras(self) -> set[str]:
        """The features in use that a request can do without."""
        return {feature for feature in flags.REFUSABLE if feature not in self.core and self.uses(feature)}

    def offending(self, kind: str, name: str) -> set[tuple[str, str]]:
        """What was sent of a beta ("beta") or of a path in the body ("field") that Bedrock named, in our own names."""
        if kind == "beta":
            return {(kind, name)} & {("beta", beta) for beta in self.betas}
        return {(kind, feature) for feature in flags.features_at(name) if self.uses(feature)}


Step = Callable[[Draft], None]


def _set_version(draft: Draft) -> None:
    draft.body.pop("anthropic_version", None)
    draft.body["anthropic_version"] = ANTHROPIC_VERSION


def _keep_allowed_fields(draft: Draft) -> None:
    allowed = draft.capabilities.rules.top_level
    for name in [name for name in draft.body if name not in allowed or not draft.allows(allowed[name])]:
        if name in _UNSAID:
            del draft.body[name]
        elif name.isascii() and name.isidentifier() and len(name) <= 40:
            draft.drop(name)
        else:
            del draft.body[name]
            draft.note("dropped a field")


STEPS: tuple[Step, ...] = (
    _keep_allowed_fields,
    tools.drop_server_tools,
    messages.settle_tool_changes,
    tools.trim_tool_fields,
    history.translate_history,
    thinking.settle_thinking_blocks,
    messages.settle_message_fields,
    messages.settle_system_messages,
    output.settle_length,
    tools.settle_tool_choice,
    thinking.settle_thinking,
    output.settle_output_config,
    output.settle_sampling,
    output.settle_context,
    identity.digest_user,
    identity.drop_billing_block,
    caching.settle_breakpoints,
    _set_version,
    flags.settle_betas,
)


def repair(
    body: Mapping[str, Any],
    betas: Sequence[str],
    capabilities: Capabilities,
    dropped: Learned | None = None,
    rest: Rest = no_rest,
) -> Repaired:
    """`betas` are the values of the client's `anthropic-beta` headers, `dropped` what this model was found to refuse.

    `rest` is called after every step: on a body of megabytes each takes milliseconds, and others wait (docs/performance.md).
    Raises CannotServe when the request needs a tool that only Anthropic runs, and nothing else, whatever the body holds.
    """
    able = capabilities.without(dropped or Learned.nothing())
    asked = flags.asked_betas(betas, able)
    draft = Draft(dict(body), able, asked, flags.open_features(asked, able))
    reason = tools.why_unservable(draft)
    if reason:
        raise CannotServe(reason)
    for step in STEPS:
        step(draft)
        rest()
    return Repaired(draft.body, tuple(draft.notes), able.rules.core)


def strip_thinking(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """See `thinking.strip_thinking`; here because it is the one repair that the Plan's requests get too."""
    return thinking.strip_thinking(body)


def serialise(body: Mapping[str, Any], rest: Rest = no_rest) -> bytes:
    """See `json_body.serialise`; here because whoever repairs a body sends it."""
    return json_body.serialise(body, rest)
