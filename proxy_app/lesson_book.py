"""What this worker knows of refusals, by place: Bedrock key, region and model. In memory, bounded, with an end.

It knows no request and no database: facts come in, lessons go out, and facts that were news wait here for whoever carries
them to the other workers. Invariants: no lesson of one place is ever used at another; never more names than the bounds, the
places longest unused leave first; a lesson ends `kept_s` after it was learned. Safe between greenlets: no method waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from proxy_app.bedrock.lessons import Fact, Lessons

MOST_WAITING = 1000


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """`model` is Anthropic's id, whichever profile served."""

    bedrock_key_id: str
    region: str
    model: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """Names remembered: for one Bedrock key, and in all."""

    per_key: int = 400
    total: int = 5000


@dataclass(frozen=True, slots=True)
class Noted:
    """A fact that was news, and when it was (unix seconds)."""

    place: Place
    fact: Fact
    at: float


class LessonBook:
    """`wall` is unix seconds, since lessons are shared with other machines."""

    def __init__(self, wall: Callable[[], float], kept_s: float, bounds: Bounds | None = None) -> None:
        self._wall = wall
        self.kept_s = kept_s
        self.bounds = bounds or Bounds()
        self._places: OrderedDict[Place, Lessons] = OrderedDict()
        self._waiting: dict[tuple[Place, Fact], Noted] = {}
        self._testing: set[Place] = set()

    def now(self) -> float:
        return self._wall()

    def of(self, place: Place) -> Lessons:
        """What to begin a request with."""
        found = self._places.get(place)
        if found is None:
            return Lessons.none()
        self._places.move_to_end(place)
        return found.newer_than(self._wall() - self.kept_s)

    def note(self, place: Place, facts: Sequence[Fact]) -> tuple[str, ...]:
        """What a request proved. Returns what was learned from it, in words for its trace."""
        before = known = self.of(place)
        now = self._wall()
        for fact in facts:
            changed = known.after(fact, now)
            if changed is not known:
                self._waiting[(place, fact)] = Noted(place, fact, now)
            known = changed
        if known is before:
            return ()
        self._put(place, known)
        while len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        return known.news(before)

    def begin_test(self, place: Place) -> bool:
        """Whether the caller may find out about suspects there: one request at a time. Then it must call `end_test`."""
        if place in self._testing:
            return False
        self._testing.add(place)
        return True

    def end_test(self, place: Place) -> None:
        self._testing.discard(place)

    @property
    def waiting(self) -> list[Noted]:
        """News that no other worker has yet, oldest first."""
        return list(self._waiting.values())

    def shared(self, noted: Sequence[Noted]) -> None:
        """These have been carried out."""
        for each in noted:
            if self._waiting.get((each.place, each.fact)) is each:
                del self._waiting[(each.place, each.fact)]

    def replace(self, known: Mapping[Place, Lessons]) -> None:
        """What all workers know, in place of what this one knew, and over it what still waits here."""
        self._places = OrderedDict((place, known[place]) for place in sorted(known, key=lambda place: _latest(known[place])))
        for each in self._waiting.values():
            self._put(each.place, self.of(each.place).after(each.fact, each.at))
        self._trim("")

    def _put(self, place: Place, lessons: Lessons) -> None:
        self._places[place] = lessons
        self._places.move_to_end(place)
        if not lessons.marks:
            del self._places[place]
        self._trim(place.bedrock_key_id)

    def _trim(self, key_id: str) -> None:
        sizes = {place: len(lessons.marks) for place, lessons in self._places.items()}
        for place in overflow(sizes, self.bounds, key_id):
            del self._places[place]


def overflow(sizes: Mapping[Place, int], bounds: Bounds, key_id: str) -> list[Place]:
    """Which places must go, so that key and all are within bounds. `sizes`: names of each place, the next to go first."""
    gone: list[Place] = []
    total, of_key = sum(sizes.values()), sum(size for place, size in sizes.items() if place.bedrock_key_id == key_id)
    for place, size in sizes.items():
        is_keys = place.bedrock_key_id == key_id
        if total > bounds.total or (is_keys and of_key > bounds.per_key):
            gone.append(place)
            total -= size
            of_key -= size if is_keys else 0
    return gone


def _latest(lessons: Lessons) -> float:
    return max((mark.since for mark in lessons.marks.values()), default=0.0)
