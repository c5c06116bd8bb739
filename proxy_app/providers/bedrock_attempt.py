"""One call on its way through Bedrock keys and model ids, and what each key's refusals teach.

Joins the pure trial of a request with the lessons that this worker keeps; it does no I/O of its own. Invariant: what was found
out with one key is used with that key alone, and what a request proved is noted only once Bedrock has committed to an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from core.types import BedrockKey
from proxy_app.bedrock.errors import BedrockFault
from proxy_app.bedrock.models import ModelCatalogue, Models, Route
from proxy_app.bedrock.repair import CannotServe, Repaired, serialise
from proxy_app.bedrock.trial import Trial
from proxy_app.call import Call, Reply
from proxy_app.faults import Fault, UpstreamError
from proxy_app.json_body import Turns
from proxy_app.lesson_book import LessonBook, Place

_MAX_BODY_BYTES = 20 * 1000 * 1000
_MOST_NOTES = 20


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of models: by the data files and the rows of administrators, and by experience."""

    models: Models
    lessons: LessonBook


@dataclass(slots=True)
class Attempt:
    """`models` is the catalogue as it was when the call came: a change in between is the next call's."""

    call: Call
    body: Mapping[str, Any]
    betas: tuple[str, ...]
    models: ModelCatalogue
    notes: list[str] = field(default_factory=list)
    last: UpstreamError | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """An attempt through one Bedrock key to one model. `place` is whose lessons are used and added to."""

    place: Place
    trial: Trial
    may_test: bool


class Ways:
    """An attempt through one Bedrock key: all ids of a model share a way, a model that stands in for it has its own."""

    def __init__(self, attempt: Attempt, key: BedrockKey, known: Knowledge, length_cap: int) -> None:
        self.key = key
        self._attempt = attempt
        self._lessons = known.lessons
        self._length_cap = length_cap
        self._ways: list[tuple[Route, Way]] = []

    def along(self, route: Route) -> Way:
        for other, way in self._ways:
            if other.instead == route.instead and other.capabilities is route.capabilities:
                return way
        way = self._new(route)
        self._ways.append((route, way))
        return way

    def close(self) -> None:
        for _, way in self._ways:
            if way.may_test:
                self._lessons.end_test(way.place)

    def _new(self, route: Route) -> Way:
        attempt, able = self._attempt, replace(route.capabilities, length_cap=self._length_cap)
        model = route.instead or attempt.models.canonical(attempt.call.asked.model)
        place = Place(self.key.id, self.key.region, model)
        lessons = self._lessons.of(place)
        may_test = bool(lessons.doubted) and self._lessons.begin_test(place)
        trial = Trial(attempt.body, attempt.betas, able, lessons, may_test=may_test)
        return Way(place, trial, may_test)


@contextmanager
def ways_through(attempt: Attempt, key: BedrockKey, known: Knowledge, length_cap: int) -> Iterator[Ways]:
    """While it is open, no other request of this worker tests suspects at the same places."""
    ways = Ways(attempt, key, known, length_cap)
    try:
        yield ways
    finally:
        ways.close()


def with_corrections(attempt: Attempt, way: Way, invoke: Callable[[bytes], Reply], lessons: LessonBook) -> Reply:
    """Send; on a 400 about what was sent, leave that out and send once more, at most once per class. Then remember."""
    while True:
        payload = payload_of(_repaired(attempt, way.trial), attempt.call.asked.turns)
        try:
            reply = invoke(payload)
        except BedrockFault as error:
            if not way.trial.refused(error):
                raise
            attempt.notes.append(f"bedrock:corrected({error.kind.value})")
            continue
        news = lessons.note(way.place, way.trial.accepted())
        attempt.notes.extend(f"bedrock:learned({each})" for each in news)
        return reply


def _repaired(attempt: Attempt, trial: Trial) -> Repaired:
    try:
        with attempt.call.asked.turns() as rest:
            repaired = trial.repaired(rest)
    except CannotServe as error:
        raise UpstreamError(Fault.BEDROCK_UNSUPPORTED, str(error), wire=(400, "invalid_request_error")) from error
    if not attempt.notes:
        attempt.notes.extend(f"bedrock:{note}" for note in repaired.notes[:_MOST_NOTES])
    return repaired


def payload_of(repaired: Repaired, turns: Turns) -> bytes:
    """The body's bytes. Raises UpstreamError for one that Bedrock would not take by its size or shape."""
    try:
        with turns() as rest:
            payload = serialise(repaired.body, rest)
    except RecursionError:
        message = "the request is nested too deeply"
        raise UpstreamError(Fault.BEDROCK_UNSUPPORTED, message, wire=(400, "invalid_request_error")) from None
    if len(payload) > _MAX_BODY_BYTES:
        raise UpstreamError(Fault.BEDROCK_UNSUPPORTED, "over Bedrock's 20 MB", wire=(413, "request_too_large"))
    return payload


def betas_of(call: Call) -> tuple[str, ...]:
    lists = (value.split(",") for name, value in call.headers if name == "anthropic-beta")
    return tuple(beta.strip() for betas in lists for beta in betas if beta.strip())
