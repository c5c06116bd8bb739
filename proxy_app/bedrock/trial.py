"""One request on its way to one model: what to send now, what to send after a refusal, and what its fate proves.

Pure: no I/O and no clock. It joins the repair with what is known from earlier requests, and says what may be remembered.
Invariants: each class of refusal is corrected once; a fact comes only from a request that had both halves of the pair and from
Bedrock's own words, names only what is in the closed list, and never takes thinking from a model; no fact is given before the
request was accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy_app.bedrock.capabilities import Capabilities
from proxy_app.bedrock.errors import BedrockFault, Kind, lasting_offenders, named_offenders, refuses_betas
from proxy_app.bedrock.learned import THINKING_BLOCKS, Learned, corrective
from proxy_app.bedrock.lessons import BETA, FIELD, Fact, Item, Lessons, Verdict
from proxy_app.bedrock.repair import Repaired, repair
from proxy_app.json_body import Rest, no_rest

_MODES = frozenset(("thinking.enabled", "thinking.adaptive"))
_NEVER = frozenset((THINKING_BLOCKS,))


class Trial:
    """`may_test`: this request may take suspects along, to find out about them; else all of them stay behind."""

    def __init__(
        self, body: Mapping[str, Any], betas: Sequence[str], able: Capabilities, lessons: Lessons, *, may_test: bool = True
    ) -> None:
        self._body = body
        self._betas = betas
        self._able = able
        self._lessons = lessons.within(closed_list(able))
        self._may_test = may_test
        self._facts: list[Fact] = []
        self._sent: Repaired | None = None
        self._learned = _usable(self._lessons.refused, able)
        self._was_refused = False
        self._rest: Rest = no_rest

    def repaired(self, rest: Rest = no_rest) -> Repaired:
        """What to send now. `rest` is called between pieces of long work, as in `repair`. Raises CannotServe."""
        if self._sent is None:
            self._rest = rest
            self._sent = self._repair(self._learned) if self._was_refused else self._first()
        return self._sent

    def refused(self, fault: BedrockFault) -> bool:
        """Bedrock refused what was sent. True when it should be sent once more: `repaired` is another one then."""
        sent = self.repaired()
        corrected = corrective(fault, sent, self._learned, self._able)
        if corrected is None:
            return False
        fact = _fact_of(fault, sent, self._able, self._lessons)
        if fact is not None:
            self._facts.append(fact)
        self._learned = corrected
        self._was_refused, self._sent = True, None
        return True

    def accepted(self) -> tuple[Fact, ...]:
        """Bedrock answers what was sent. What that proves, the refusals before it included."""
        if not self._facts and not self._lessons.marks:
            return ()  # nothing is in doubt here: the usual case
        whole = frozenset((BETA, name) for name in _whole_betas(self.repaired(), self._able))
        return (*self._facts, Fact(Verdict.ACCEPTED, whole))

    def _first(self) -> Repaired:
        """With nothing that was refused, and of what is in doubt no more than this request can find out about."""
        known, doubted = self._learned, self._lessons.doubted
        if not doubted:
            return self._repair(known)
        full = self._repair(known)
        wanted = set(_whole_betas(full, self._able)) & doubted if self._may_test else set()
        while wanted:
            chosen = self._lessons.choice(wanted)
            self._learned = known.without_betas(doubted - chosen)
            sent = self._repair(self._learned)
            if chosen & set(_whole_betas(sent, self._able)):
                return sent
            wanted -= chosen  # one that needs another suspect's help, which is asked about first
        self._learned = known.without_betas(doubted)
        return self._repair(self._learned)

    def _repair(self, learned: Learned) -> Repaired:
        return repair(self._body, self._betas, self._able, learned, self._rest)


def closed_list(able: Capabilities) -> frozenset[Item]:
    """All that may ever be remembered."""
    betas, features = able.rules.betas, able.rules.features - _NEVER
    return frozenset((BETA, name) for name in betas) | frozenset((FIELD, name) for name in features)


def _fact_of(fault: BedrockFault, sent: Repaired, able: Capabilities, lessons: Lessons) -> Fact | None:
    """What a refusal proves, if the corrected request is accepted; None when it proves nothing that lasts."""
    if fault.kind is not Kind.BETA_OR_FIELD:
        return None
    if any(True for _ in named_offenders(fault.detail)):
        named = lasting_offenders(fault.detail)
        offenders = {found for kind, name in named for found in sent.offending(kind, name) if _is_all_of(found, name)}
        lasting = {item for item in offenders & closed_list(able) if _is_whole(item, sent, able)}
        if not _keeps_thinking(lessons.refused, lasting, able):
            lasting -= {(FIELD, mode) for mode in _MODES}
        return Fact(Verdict.NAMED, frozenset(lasting)) if lasting else None
    accused = set(sent.betas) - lessons.cleared
    if not refuses_betas(fault.detail) or not accused or not accused <= set(_whole_betas(sent, able)):
        return None
    return Fact(Verdict.ONE_OF, frozenset((BETA, name) for name in accused))


def _is_all_of(item: Item, named: str) -> bool:
    """Not a refusal of something inside: a field that one client filled in an odd way is good for all others."""
    kind, feature = item
    return kind == BETA or feature == named or feature.startswith(f"{named}.")


def _whole_betas(sent: Repaired, able: Capabilities) -> tuple[str, ...]:
    return tuple(name for name in sent.betas if _is_whole((BETA, name), sent, able))


def _is_whole(item: Item, sent: Repaired, able: Capabilities) -> bool:
    """Whether both halves of the pair were sent: a beta with one of what it opens, a feature with one of what opens it."""
    kind, name = item
    if kind == BETA:
        partners = able.partners(name)
        return not partners or any(sent.uses(feature) for feature in partners)
    openers = able.openers(name)
    return not openers or not openers.isdisjoint(sent.betas)


def _keeps_thinking(refused: Learned, more: set[Item], able: Capabilities) -> bool:
    """Whether a model that thinks still does without these, in one mode or the other."""
    modes = able.features & _MODES
    return not modes or bool(modes - refused.fields - {name for kind, name in more if kind == FIELD})


def _usable(refused: Learned, able: Capabilities) -> Learned:
    """Two workers may each have learned of one mode; together that would be the end of thinking."""
    if _keeps_thinking(refused, set(), able):
        return refused
    return Learned(refused.betas, refused.fields - _MODES, refused.tried)
