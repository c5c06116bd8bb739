"""What a model was found to refuse, and the one step that follows from a refusal.

Pure: nothing is remembered here. Whoever keeps lessons across requests (per Bedrock key, region and model) stores
`lasting()` and hands it back as the next request's `dropped`. Invariant: a lesson holds only names of the closed lists
in `data/capabilities.json`, and a request is corrected at most once per class of refusal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxy_app.bedrock.errors import BedrockFault, Kind, named_offenders, refuses_betas

if TYPE_CHECKING:
    from proxy_app.bedrock.repair import Repaired

THINKING_BLOCKS = "messages.thinking"
NAMED, UNNAMED, THINKING, MINIMAL = "named", "unnamed", "thinking", "minimal"


@dataclass(frozen=True, slots=True)
class Learned:
    """Betas and features to leave out. `tried` are the classes of correction that this request has used up.

    `spared` were left out without having been named: they made this request pass and say nothing about the next one.
    """

    betas: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    tried: frozenset[str] = frozenset()
    spared: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def nothing(cls) -> Learned:
        return _NOTHING

    def with_dropped(self, kind: str, name: str) -> Learned:
        """One more name to leave out; `kind` is "beta" or "field". The pair's other half follows in the repair."""
        if kind == "beta":
            return replace(self, betas=self.betas | {name})
        return replace(self, fields=self.fields | {name})

    def lasting(self) -> Learned:
        """What may be remembered: never the removal of thinking, which is about one conversation."""
        spared = {name for kind, name in self.spared if kind == "beta"}, {name for kind, name in self.spared if kind == "field"}
        return Learned(self.betas - spared[0], self.fields - spared[1] - {THINKING_BLOCKS})


_NOTHING = Learned()


def corrective(fault: BedrockFault, sent: Repaired, learned: Learned) -> Learned | None:
    """What to leave out when the same request is sent once more; None when nothing would change.

    Only what was sent can be dropped: a name that the refused body did not hold is no lesson.
    """
    if fault.kind is Kind.THINKING:
        return _once(learned, THINKING, {("field", THINKING_BLOCKS)} if sent.has_thinking_to_strip else set())
    if fault.kind is not Kind.BETA_OR_FIELD:
        return None
    if learned.tried & {NAMED, UNNAMED}:
        return _minimal(sent, learned)
    offenders = set(named_offenders(fault.detail))
    if offenders:
        return _once(learned, NAMED, {found for kind, name in offenders for found in sent.offending(kind, name)})
    return _once(learned, UNNAMED, {("beta", name) for name in sent.betas}) if refuses_betas(fault.detail) else None


def _minimal(sent: Repaired, learned: Learned) -> Learned | None:
    """The last step: everything goes that a model may lack, all at once. An upstream names one thing at a time."""
    drop = {("beta", name) for name in sent.betas} | {("field", name) for name in sent.extras()}
    known = {("beta", name) for name in learned.betas} | {("field", name) for name in learned.fields}
    minimal = _once(learned, MINIMAL, drop - known)
    return minimal and replace(minimal, spared=learned.spared | (drop - known))


def _once(learned: Learned, step: str, drop: set[tuple[str, str]]) -> Learned | None:
    if step in learned.tried or not drop:
        return None
    for kind, name in sorted(drop):
        learned = learned.with_dropped(kind, name)
    return replace(learned, tried=learned.tried | {step})
