"""Idempotency keys as rows, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core import idempotency
from core.db import Database
from core.idempotency import Asked, Held, Kept, OtherRequest, OutcomeUnknown, UnderWay, digest_of
from tests.core.office import NOW, SECOND

ASKED = Asked("adm_1", "k1", "d" * 64)
ANSWER = Kept(201, '{"id": "usr_1"}')


def take(database: Database, asked: Asked = ASKED, after: timedelta = timedelta()) -> Held | Kept:
    return database.run(lambda c: idempotency.take(c, asked, NOW + after))


def held(database: Database, after: timedelta = timedelta()) -> Held:
    found = take(database, after=after)
    assert isinstance(found, Held)
    return found


def test_a_key_that_was_never_used_is_ours(database: Database) -> None:
    assert held(database).asked == ASKED


def test_a_key_that_is_held_is_under_way(database: Database) -> None:
    held(database)

    with pytest.raises(UnderWay):
        take(database)


def test_what_was_kept_is_told_again(database: Database) -> None:
    holding = held(database)
    database.run(lambda c: idempotency.keep(c, holding, ANSWER))

    assert take(database) == ANSWER


def test_a_key_of_another_request_is_refused_whatever_became_of_that(database: Database) -> None:
    holding = held(database)
    other = Asked("adm_1", "k1", "e" * 64)
    with pytest.raises(OtherRequest):
        take(database, other)
    database.run(lambda c: idempotency.keep(c, holding, ANSWER))

    with pytest.raises(OtherRequest):
        take(database, other)


def test_a_key_that_was_given_back_is_free(database: Database) -> None:
    holding = held(database)
    database.run(lambda c: idempotency.give_back(c, holding))

    assert isinstance(take(database), Held)


def test_what_has_changed_something_is_not_given_back(database: Database) -> None:
    holding = held(database)
    database.run(lambda c: idempotency.note_change(c, holding))
    database.run(lambda c: idempotency.give_back(c, holding))

    with pytest.raises(OutcomeUnknown):
        take(database, after=timedelta(hours=1))


def test_two_minutes_later_an_abandoned_key_is_taken_over(database: Database) -> None:
    held(database)
    with pytest.raises(UnderWay):
        take(database, after=idempotency.ABANDONED_AFTER - SECOND)

    assert isinstance(take(database, after=idempotency.ABANDONED_AFTER), Held)


def test_whoever_was_overtaken_can_neither_keep_nor_give_back(database: Database) -> None:
    first = held(database)
    second = held(database, after=timedelta(minutes=3))

    with pytest.raises(UnderWay):
        database.run(lambda c: idempotency.keep(c, first, ANSWER))
    with pytest.raises(UnderWay):
        database.run(lambda c: idempotency.note_change(c, first))
    database.run(lambda c: idempotency.give_back(c, first))
    database.run(lambda c: idempotency.keep(c, second, ANSWER))

    assert take(database) == ANSWER


def test_an_answer_is_kept_for_a_day(database: Database) -> None:
    holding = held(database)
    database.run(lambda c: idempotency.keep(c, holding, ANSWER))
    day = idempotency.KEPT_FOR

    assert take(database, after=day) == ANSWER
    assert isinstance(take(database, after=day + SECOND), Held)


def test_what_is_older_than_a_day_is_purged_and_nothing_else(database: Database) -> None:
    take(database)
    take(database, Asked("adm_2", "k1", "d" * 64), after=timedelta(hours=1))

    purged = database.run(lambda c: idempotency.purge(c, NOW + idempotency.KEPT_FOR + SECOND))

    assert purged == 1
    assert isinstance(take(database), Held)


def test_a_digest_hangs_on_the_secret_and_on_every_part() -> None:
    parts = [("s", b"POST", b"/a", b"x"), ("t", b"POST", b"/a", b"x"), ("s", b"POST", b"/", b"ax"), ("s", b"POST", b"/a", b"y")]

    assert len({digest_of(secret, *rest) for secret, *rest in parts}) == len(parts)
