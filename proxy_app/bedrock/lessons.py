"""What one model, asked through one Bedrock key in one region, was found to refuse: a pure value that facts change.

It knows names and what was proven of them, and no request. A refusal may name what it dislikes; one that says only
`invalid beta flag` makes all that was sent suspect, and the culprits are found by halving: `choice` is the part of the
suspects that the next request takes along, and its fate clears or narrows them. Invariants: facts say what happened, not
what to conclude, so they may arrive late, twice and in any order; groups of suspects are disjoint, and each holds a
refused beta; what was accepted last is never left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from proxy_app.bedrock.learned import Learned

Item = tuple[str, str]  # ("beta" | "field", name)
BETA, FIELD = "beta", "field"


class Standing(StrEnum):
    """What is known of a name. `UNTESTED`: once a suspect, now neither accused nor cleared."""

    REFUSED = "refused"
    SUSPECT = "suspect"
    UNTESTED = "untested"
    CLEARED = "cleared"


class Verdict(StrEnum):
    """What a fact says of its items: all refused by name; of these betas at least one refused; all accepted together."""

    NAMED = "named"
    ONE_OF = "one_of"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Mark:
    """`since`: unix seconds; one number for all of a group."""

    standing: Standing
    since: float
    group: int = 0


@dataclass(frozen=True, slots=True)
class Fact:
    verdict: Verdict
    items: frozenset[Item]


Marks = dict[Item, Mark]


@dataclass(frozen=True, slots=True)
class Lessons:
    marks: Mapping[Item, Mark] = field(default_factory=dict)

    @classmethod
    def none(cls) -> Lessons:
        return _NONE

    @property
    def refused(self) -> Learned:
        names = [item for item, mark in self.marks.items() if mark.standing is Standing.REFUSED]
        return Learned(
            frozenset(name for kind, name in names if kind == BETA), frozenset(name for kind, name in names if kind == FIELD)
        )

    @property
    def doubted(self) -> frozenset[str]:
        """Betas to leave out, unless they are the `choice`."""
        doubts = (Standing.SUSPECT, Standing.UNTESTED)
        return frozenset(name for (_, name), mark in self.marks.items() if mark.standing in doubts)

    @property
    def cleared(self) -> frozenset[str]:
        return frozenset(name for (_, name), mark in self.marks.items() if mark.standing is Standing.CLEARED)

    def choice(self, wanted: Collection[str]) -> frozenset[str]:
        """Of the doubted betas those that a request which wants `wanted` should take along: half a group, at most.

        A whole group is known to be refused. When no suspect is wanted, the untested are asked about all at once.
        """
        groups = _groups(self.marks)
        for number in sorted(groups):
            present = sorted(name for _, name in groups[number] if name in wanted)
            if present:
                return frozenset(present[: max(1, len(groups[number]) // 2)])
        untested = (name for (_, name), mark in self.marks.items() if mark.standing is Standing.UNTESTED)
        return frozenset(name for name in untested if name in wanted)

    def after(self, fact: Fact, now: float) -> Lessons:
        """What is known with this fact; the very same object when it is no news."""
        marks = dict(self.marks)
        if fact.verdict is Verdict.NAMED:
            for item in fact.items:
                if item not in marks or marks[item].standing is not Standing.REFUSED:
                    _convict(marks, item, now)
        elif fact.verdict is Verdict.ACCEPTED:
            _clear(marks, fact.items, now)
        else:
            _suspect(marks, fact.items, now)
        return self if marks == self.marks else Lessons(marks)

    def newer_than(self, oldest: float) -> Lessons:
        """Without what is that old: a group expires as one."""
        if all(mark.since > oldest for mark in self.marks.values()):
            return self
        return Lessons({item: mark for item, mark in self.marks.items() if mark.since > oldest})

    def within(self, known: Collection[Item]) -> Lessons:
        """Only names of the closed list. A group that loses one is not known to hold a refused beta any more."""
        if all(item in known for item in self.marks):
            return self
        broken = {mark.group for item, mark in self.marks.items() if item not in known}
        kept = {item: mark for item, mark in self.marks.items() if item in known}
        return Lessons({item: _released(mark) if mark.group in broken else mark for item, mark in kept.items()})

    def news(self, before: Lessons) -> tuple[str, ...]:
        """What was learned since then, in words for a trace."""
        refused, known = _of(self.marks, Standing.REFUSED), _of(before.marks, Standing.REFUSED)
        groups, old = _groups(self.marks), set(map(frozenset, _groups(before.marks).values()))
        named = [f"{kind} {name}" for kind, name in sorted(refused - known)]
        return (*named, *(f"one of {len(group)} betas" for group in groups.values() if frozenset(group) not in old))


_NONE = Lessons()


def _of(marks: Mapping[Item, Mark], standing: Standing) -> set[Item]:
    return {item for item, mark in marks.items() if mark.standing is standing}


def _groups(marks: Mapping[Item, Mark]) -> dict[int, set[Item]]:
    groups: dict[int, set[Item]] = {}
    for item, mark in marks.items():
        if mark.standing is Standing.SUSPECT:
            groups.setdefault(mark.group, set()).add(item)
    return groups


def _released(mark: Mark) -> Mark:
    return Mark(Standing.UNTESTED, mark.since) if mark.standing is Standing.SUSPECT else mark


def _convict(marks: Marks, item: Item, now: float) -> None:
    """Refused. It explains the refusal of its group, so nothing is known of the others there."""
    group = _groups(marks).get(marks[item].group if item in marks else 0, set())
    for other in group:
        marks[other] = _released(marks[other])
    marks[item] = Mark(Standing.REFUSED, now)


def _clear(marks: Marks, items: frozenset[Item], now: float) -> None:
    """Accepted. The one that is left of a group is the refused one."""
    doubts = bool(_of(marks, Standing.SUSPECT) | _of(marks, Standing.UNTESTED))
    touched = {marks[item].group for item in items if item in marks and marks[item].standing is Standing.SUSPECT}
    for item in items:
        known = marks.get(item)
        if known.standing is not Standing.CLEARED if known else doubts:
            marks[item] = Mark(Standing.CLEARED, now)
    groups = _groups(marks)
    for number in touched:
        left = groups.get(number, set())
        if len(left) == 1:
            _convict(marks, left.pop(), now)


def _suspect(marks: Marks, sent: frozenset[Item], now: float) -> None:
    """One of these was refused, and none of what was accepted before; if that explains nothing, acceptance is no proof."""
    if sent & _of(marks, Standing.REFUSED):
        return  # explained
    accused = sent - _of(marks, Standing.CLEARED) or sent
    groups = {number: group for number, group in _groups(marks).items() if group & accused}
    if not accused or any(group <= accused for group in groups.values()):
        return  # nothing new: it came from a request that knew less
    if any(len(group) < len(accused) for group in groups.values()):
        for item in accused - marks.keys():  # a smaller group is asked about first, apart from these
            marks[item] = Mark(Standing.UNTESTED, now)
        return
    for item in set().union(*groups.values()) - accused:
        marks[item] = _released(marks[item])
    number = max((mark.group for mark in marks.values()), default=0) + 1
    for item in accused:
        marks[item] = Mark(Standing.SUSPECT, now, number)
    if len(accused) == 1:
        marks[next(iter(accused))] = Mark(Standing.REFUSED, now)
