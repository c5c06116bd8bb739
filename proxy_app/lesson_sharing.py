"""Carries facts from this worker's lessons to the table that all workers share, and what all know back (SPEC section 6).

Knows no SQL and no rule of learning: a fact is applied to the rows of its place inside one transaction, by the same pure
function that applied it here, so workers that learn at the same time add to each other. While the database is away facts
wait, and lessons work for this worker alone. Invariant: a name that only a newer release knows is neither used nor erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from core import repairs
from core.db import Database, DatabaseAway
from core.repairs import Change, RepairRow, Room
from core.threads import paced
from proxy_app.bedrock.lessons import Item, Lessons, Mark, Standing
from proxy_app.lesson_book import LessonBook, Noted, Place

_BATCH = 100
_STANDINGS = frozenset(standing.value for standing in Standing)


class LessonSharing:
    """Call `publish` and then `absorb` at every tick, from one greenlet (what was found out here goes out before what all know
    comes in), and `changed` when the tick says so. None raises DatabaseAway."""

    def __init__(self, database: Database, book: LessonBook) -> None:
        self._database = database
        self._book = book
        self._stale = True

    def changed(self) -> None:
        """Somebody wrote. Never blocks."""
        self._stale = True

    def publish(self) -> None:
        """Write what waits; the rest waits on when the database is away."""
        with suppress(DatabaseAway):
            while batch := self._book.waiting[:_BATCH]:
                writable = [each for each in batch if repairs.fits(*_names(each.place))]
                if writable:
                    self._write(writable)
                self._book.shared(batch)

    def absorb(self) -> None:
        """Take over what all workers know, if anybody wrote."""
        if self._stale:
            self.read_again()

    def read_again(self) -> None:
        """Take over what all workers know."""
        self._stale = False
        now = _time(self._book.now())
        try:
            rows = self._database.read(lambda connection: repairs.list_repairs(connection, now))
        except DatabaseAway:
            self._stale = True
            return
        places: dict[Place, list[RepairRow]] = {}
        for row in paced(rows):
            places.setdefault(Place(row.bedrock_key_id, row.region, row.model), []).append(row)
        self._book.replace({place: _lessons(of_place) for place, of_place in paced(places.items())})

    def _write(self, batch: Sequence[Noted]) -> None:
        changes = [self._change(place, [each for each in batch if each.place == place]) for place in _places(batch)]
        room, now = Room(self._book.bounds.per_key, self._book.bounds.total), _time(self._book.now())
        self._database.run(lambda connection: repairs.write_repairs(connection, changes, room, now))

    def _change(self, place: Place, noted: Sequence[Noted]) -> Change:
        kept = timedelta(seconds=self._book.kept_s)

        def apply(rows: list[RepairRow]) -> list[RepairRow]:
            lessons = _lessons(rows)
            for each in noted:
                lessons = lessons.after(each.fact, each.at)
            foreign = [row for row in rows if row.standing not in _STANDINGS]
            return [*(_row(place, item, mark, kept) for item, mark in sorted(lessons.marks.items(), key=_by_item)), *foreign]

        return Change(*_names(place), apply)


def _by_item(pair: tuple[Item, Mark]) -> Item:
    return pair[0]


def _places(batch: Sequence[Noted]) -> list[Place]:
    return sorted({each.place for each in batch})


def _names(place: Place) -> tuple[str, str, str]:
    return place.bedrock_key_id, place.region, place.model


def _lessons(rows: Sequence[RepairRow]) -> Lessons:
    marks = {
        (row.kind, row.name): Mark(Standing(row.standing), row.learned_at.timestamp(), row.cohort)
        for row in rows
        if row.standing in _STANDINGS
    }
    return Lessons(marks) if marks else Lessons.none()


def _row(place: Place, item: Item, mark: Mark, kept: timedelta) -> RepairRow:
    learned_at = _time(mark.since)
    return RepairRow(*_names(place), *item, mark.standing.value, mark.group, learned_at, learned_at + kept)


def _time(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)
