"""Access keys into grants: who is let in, how often the database is asked, and what holds while it is away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from core.cache import Cache
from core.crypto import LocalVault, new_access_key
from core.db import Database, DatabaseAway
from core.types import Strategy
from proxy_app.directory import Directory, Known, Unavailable, Unknown
from tests.core.office import NOW, SECOND, SERVER_SECRET, VAULT, Office

T = TypeVar("T")
FRESH_S, STALE_S = 60.0, 900.0


class Clock:
    """Monotonic and unix seconds, moved by hand."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.passed

    def wall(self) -> float:
        return NOW.timestamp() + self.passed


class Source:
    """The real database, counted, and away when told so. `meanwhile` happens while it is being asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.asked = 0
        self.away = False
        self.meanwhile: Callable[[], None] = lambda: None

    def read(self, work: Callable[[Connection], T]) -> T:
        self.asked += 1
        if self.away:
            self.meanwhile()
            raise DatabaseAway("the test says so")
        found = self._database.read(work)
        self.meanwhile()
        return found


class Desk:
    def __init__(self, database: Database) -> None:
        self.office = Office(database)
        self.clock = Clock()
        self.source: Any = Source(database)
        self.cache = Cache[str, Known](100, self.clock.monotonic)
        self.directory = self.opened_with(VAULT)

    def opened_with(self, vault: LocalVault) -> Directory:
        clocks = (self.clock.monotonic, self.clock.wall)
        return Directory(self.source, vault, SERVER_SECRET, self.cache, clocks, (FRESH_S, STALE_S))

    def key(self, **options: object) -> tuple[str, Any]:
        """(Access key, all about it) of a new user."""
        issued = self.office.issue(self.office.add(f"user {new_access_key()[3:9]}"), **options)
        return issued.access_key, issued

    def is_let_in(self, access_key: str) -> bool:
        try:
            self.directory.grant_of(access_key)
        except Unknown:
            return False
        return True


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_a_key_gives_what_it_entitles_to_with_its_bedrock_keys_opened(desk: Desk) -> None:
    user = desk.office.add("ann", Strategy.BEDROCK_ONLY)
    issued, attached = desk.office.issue(user), desk.office.attach(user)

    grant = desk.directory.grant_of(issued.access_key)
    assert (grant.user_id, grant.access_key_id, grant.strategy) == (user.id, issued.id, Strategy.BEDROCK_ONLY)
    assert [(key.id, key.secret) for key in grant.bedrock_keys] == [(attached, "a-bedrock-key")]


@pytest.mark.parametrize(
    "wrong",
    ["", "ak_", "ak_" + "x" * 44, new_access_key() + "x", new_access_key()[:-1] + "-", "ak_\u202e" + "x" * 43, "\x00" * 47],
    ids=["empty", "prefix", "checksum", "too long", "dash", "control", "zeros"],
)
def test_what_cannot_be_a_key_is_refused_without_asking_the_database(desk: Desk, wrong: str) -> None:
    desk.source.away = True
    assert not desk.is_let_in(wrong)
    assert desk.source.asked == 0


def test_a_known_key_is_asked_for_once_while_it_is_fresh(desk: Desk) -> None:
    access_key, _ = desk.key()
    assert [desk.is_let_in(access_key) for _ in range(5)] == [True] * 5
    assert desk.source.asked == 1

    desk.clock.passed += FRESH_S
    assert desk.is_let_in(access_key)
    assert desk.source.asked == 2


def test_an_unknown_key_is_asked_for_once_in_a_while(desk: Desk) -> None:
    guess = new_access_key()
    assert [desk.is_let_in(guess) for _ in range(5)] == [False] * 5
    assert desk.source.asked == 1

    desk.clock.passed += 5
    assert not desk.is_let_in(guess)
    assert desk.source.asked == 2


def test_guesses_do_not_push_known_keys_out(desk: Desk) -> None:
    access_key, _ = desk.key()
    assert desk.is_let_in(access_key)
    assert not any(desk.is_let_in(new_access_key()) for _ in range(150))

    desk.source.away = True
    assert desk.is_let_in(access_key)
    assert len(desk.cache) == 1


def test_a_key_that_was_tried_before_it_was_issued_is_good_after_the_tick(desk: Desk) -> None:
    access_key, issued = desk.key()
    other = desk.office.rotate(issued, grace_s=0)
    assert not desk.is_let_in(access_key)

    desk.directory.refresh()
    assert desk.is_let_in(other.access_key)


@pytest.mark.parametrize("away", [False, True])
def test_a_revoked_key_is_refused_after_the_tick_also_when_the_database_then_goes_away(desk: Desk, away: bool) -> None:
    access_key, issued = desk.key()
    assert desk.is_let_in(access_key)
    desk.office.revoke(issued)
    desk.directory.refresh()
    assert not desk.is_let_in(access_key)

    desk.clock.passed += 6
    desk.source.away = away
    with pytest.raises(Unavailable if away else Unknown):
        desk.directory.grant_of(access_key)


def test_an_expired_key_is_refused_to_the_second_though_it_is_fresh_in_the_cache(desk: Desk) -> None:
    access_key, _ = desk.key(expires_at=NOW + 10 * SECOND)
    assert desk.is_let_in(access_key)

    desk.clock.passed += 9.9
    assert desk.is_let_in(access_key)
    desk.clock.passed += 0.1
    assert not desk.is_let_in(access_key)
    assert desk.source.asked == 1


def test_an_expired_key_is_refused_while_the_database_is_away(desk: Desk) -> None:
    access_key, _ = desk.key(expires_at=NOW + timedelta(seconds=FRESH_S + 10))
    assert desk.is_let_in(access_key)

    desk.source.away = True
    desk.clock.passed += FRESH_S + 9
    assert desk.is_let_in(access_key)
    desk.clock.passed += 1
    assert not desk.is_let_in(access_key)


def test_the_old_secret_of_a_rotated_key_is_good_for_its_grace_alone(desk: Desk) -> None:
    old, issued = desk.key()
    new = desk.office.rotate(issued, grace_s=30).access_key
    assert desk.is_let_in(old) and desk.is_let_in(new)

    desk.clock.passed += 30
    assert not desk.is_let_in(old)
    assert desk.is_let_in(new)


def test_what_was_found_while_keys_changed_is_asked_for_again(desk: Desk) -> None:
    """The tick came in the middle of the look-up: what was read may be from before the change."""
    access_key, _ = desk.key()
    desk.source.meanwhile = desk.directory.refresh
    assert desk.is_let_in(access_key)
    desk.source.meanwhile = lambda: None

    assert desk.is_let_in(access_key)
    assert desk.source.asked == 2


def test_a_known_key_is_served_while_the_database_is_away_but_not_for_ever(desk: Desk) -> None:
    access_key, _ = desk.key()
    assert desk.is_let_in(access_key)
    desk.source.away = True

    desk.clock.passed += STALE_S - 1
    assert desk.is_let_in(access_key)
    desk.clock.passed += 1
    with pytest.raises(Unavailable):
        desk.directory.grant_of(access_key)


def test_an_unknown_key_is_never_called_wrong_while_the_database_is_away(desk: Desk) -> None:
    access_key, _ = desk.key()
    desk.source.away = True
    with pytest.raises(Unavailable):
        desk.directory.grant_of(access_key)

    desk.source.away = False
    desk.clock.passed += 2
    assert desk.is_let_in(access_key)


def test_a_database_that_is_away_is_asked_now_and_then_by_one_request_at_a_time(desk: Desk) -> None:
    access_key, _ = desk.key()
    assert desk.is_let_in(access_key)
    desk.directory.refresh()
    desk.source.away = True
    assert [desk.is_let_in(access_key) for _ in range(10)] == [True] * 10
    assert desk.source.asked == 2

    desk.clock.passed += 2
    served_meanwhile: list[bool] = []
    desk.source.meanwhile = lambda: served_meanwhile.append(desk.is_let_in(access_key))
    assert desk.is_let_in(access_key)
    assert (served_meanwhile, desk.source.asked) == ([True], 3)


def test_when_the_database_is_back_the_change_it_missed_counts(desk: Desk) -> None:
    access_key, issued = desk.key()
    assert desk.is_let_in(access_key)
    desk.directory.refresh()
    desk.source.away = True
    assert desk.is_let_in(access_key)
    desk.office.revoke(issued)

    desk.source.away = False
    desk.clock.passed += 2
    assert not desk.is_let_in(access_key)


def test_a_bedrock_key_that_cannot_be_opened_leaves_the_plan_and_is_tried_again_soon(desk: Desk, caplog: Any) -> None:
    user = desk.office.add("ann")
    access_key, attached = desk.office.issue(user).access_key, desk.office.attach(user)
    desk.directory = desk.opened_with(LocalVault(b"another key of 32 bytes, as said"))
    assert desk.directory.grant_of(access_key).bedrock_keys == ()
    assert [record.context["bedrock_key_id"] for record in caplog.records] == [attached]

    desk.directory = desk.opened_with(VAULT)
    desk.clock.passed += 5
    assert [key.id for key in desk.directory.grant_of(access_key).bedrock_keys] == [attached]
