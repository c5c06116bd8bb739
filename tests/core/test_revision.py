"""A change made by one worker is heard of by every other, at least once, whatever happens in between."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from core.db import Database
from core.revision import Kind, Tick, bump


class Listener:
    def __init__(self) -> None:
        self.heard: list[Kind] = []
        self.fails = False

    def __call__(self, kind: Kind) -> None:
        self.heard.append(kind)
        if self.fails:
            raise LookupError("not now")


def ticking(database: Database) -> tuple[Tick, Listener]:
    tick, listener = Tick(database, 1.0, clock=lambda: 50.0), Listener()
    tick.listen(listener)
    tick.look()
    return tick, listener


def test_the_first_look_reports_everything_once(database: Database) -> None:
    tick, listener = ticking(database)

    tick.look()
    assert listener.heard == ["grants", "circuits", "prices", "repairs", "models"]


def test_a_change_is_reported_by_its_kind(database: Database) -> None:
    tick, listener = ticking(database)
    listener.heard.clear()

    assert database.run(lambda c: bump(c, "circuits")) == 2
    tick.look()
    assert listener.heard == ["circuits"]


def test_a_change_that_was_rolled_back_is_not_reported(database: Database) -> None:
    tick, listener = ticking(database)
    listener.heard.clear()

    with pytest.raises(ZeroDivisionError):
        database.run(lambda c: bump(c, "grants") / 0)
    tick.look()
    assert listener.heard == []


def test_a_listener_that_failed_is_told_again_and_the_others_are_told_anyway(database: Database) -> None:
    tick, first = Tick(database, 1.0), Listener()
    second = Listener()
    tick.listen(first)
    tick.listen(second)
    first.fails = True
    tick.look()

    first.fails = False
    tick.look()
    assert first.heard == ["grants", "circuits", "prices", "repairs", "models"] * 2
    assert second.heard == ["grants", "circuits", "prices", "repairs", "models"]


class Unreliable(Database):
    """A real database that can be switched off."""

    def __init__(self, inner: Database) -> None:
        super().__init__(inner._engine, inner._thread)
        self.away = False

    def _transact(self, work, options):  # type: ignore[no-untyped-def]
        from core.db import DatabaseAway

        if self.away:
            raise DatabaseAway("switched off")
        return super()._transact(work, options)


def test_while_the_database_is_away_the_tick_goes_on_and_tells_since_when(database: Database) -> None:
    unreliable = Unreliable(database)
    now = [50.0]
    tick, listener = Tick(unreliable, 1.0, clock=lambda: now[0]), Listener()
    tick.listen(listener)

    unreliable.away = True
    tick.look()
    now[0] = 60.0
    tick.look()
    assert (tick.database_away_since, listener.heard) == (50.0, [])

    unreliable.away = False
    tick.look()
    assert (tick.database_away_since, len(listener.heard)) == (None, 5)


def test_a_change_made_while_the_database_was_away_is_reported_when_it_is_back(database: Database) -> None:
    unreliable = Unreliable(database)
    tick, listener = ticking(unreliable)
    listener.heard.clear()
    database.run(lambda c: bump(c, "prices"))
    unreliable.away = True
    tick.look()

    unreliable.away = False
    tick.look()
    assert listener.heard == ["prices"]


def test_a_look_survives_a_row_that_is_missing(database: Database) -> None:
    tick, listener = ticking(database)
    database.run(lambda c: c.execute(text("DELETE FROM revisions")))

    tick.look()

    assert len(listener.heard) == 5


def test_running_looks_pauses_and_ends_when_stopped(database: Database) -> None:
    pauses: list[float] = []
    listener = Listener()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            tick.stop()

    tick = Tick(database, 0.5, pause=pause)
    tick.listen(listener)

    tick.run()

    assert pauses == [0.5, 0.5]
    assert len(listener.heard) == 5
