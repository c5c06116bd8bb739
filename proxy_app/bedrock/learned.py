"""What a request leaves out because its model was found to refuse it, and the one step that follows from a refusal.

Pure: nothing is remembered here. What is known from earlier requests is `lessons.py`. Invariant: it holds only names of the
closed lists in `data/capabilities.json`, and a request is corrected at most once per class of refusal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxy_app.bedrock.errors import BedrockFault, Kind, named_offenders, refuses_betas

if TYPE_CHECKING:
    from proxy_app.bedrock.capabilities import Capabilities
    from proxy_app.bedrock.repair import Repaired

THINKING_BLOCKS = "messages.thinking"
NAMED, UNNAMED, THINKING = "named", "unnamed", "thinking"


@dataclass(frozen=True, slots=True)
class Learned:
    """Betas and features to leave out. `tried` are the classes of correction that this request has used up."""

    betas: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    tried: frozenset[str] = frozenset()

    @classmethod
    def nothing(cls) -> Learned:
        return _NOTHING

    def with_dropped(self, kind: str, name: str) -> Learned:
        """One more name to leave out; `kind` is "beta" or "field". The pair's other half follows in the repair."""
        if kind == "beta":
            return replace(self, betas=self.betas | {name})
        return replace(self, fields=self.fields | {name})

    def without_betas(self, names: frozenset[str]) -> Learned:
        """These betas left out, too."""
        return replace(self, betas=self.betas | names) if names else self


_NOTHING = Learned()


def corrective(fault: BedrockFault, sent: Repaired, learned: Learned, able: Capabilities) -> Learned | None:
    """What to leave out when the same request is sent once more; None when nothing would change.

    Only what was sent can be dropped: a name that the refused body did not hold is no lesson. Bedrock names one field at a
    time, so a request that is corrected a second time goes as plain as it can be.
    """
    if fault.kind is Kind.THINKING:
        return _once(learned, THINKING, {("field", THINKING_BLOCKS)} if sent.uses(THINKING_BLOCKS) else set())
    if fault.kind is not Kind.BETA_OR_FIELD:
        return None
    named = list(named_offenders(fault.detail))
    if not named and not refuses_betas(fault.detail):
        return None
    offending = {found for kind, name in named for found in sent.offending(kind, name)}
    drop = (
        offending.union(*(_opened(name, sent, able) for kind, name in offending if kind == "beta"))
        if named
        else _betas(sent, able)
    )
    again = bool(learned.tried & {NAMED, UNNAMED})
    plain = _betas(sent, able) | {("field", name) for name in sent.extras()} if again and drop else set()
    return _once(learned, NAMED if named and NAMED not in learned.tried else UNNAMED, drop | plain)


def _betas(sent: Repaired, able: Capabilities) -> set[tuple[str, str]]:
    """All betas and what they open."""
    return {("beta", name) for name in sent.betas}.union(*(_opened(name, sent, able) for name in sent.betas))


def _opened(beta: str, sent: Repaired, able: Capabilities) -> set[tuple[str, str]]:
    """The other half, even where another beta opens it as well: that one may open only a part of it."""
    return {("field", feature) for feature in able.partners(beta) if sent.uses(feature)}


def _once(learned: Learned, step: str, drop: set[tuple[str, str]]) -> Learned | None:
    if step in learned.tried or not drop:
        return None
    for kind, name in sorted(drop):
        learned = learned.with_dropped(kind, name)
    return replace(learned, tried=learned.tried | {step})
