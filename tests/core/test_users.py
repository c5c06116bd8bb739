"""What becomes of a user, and of their keys with them (SPEC section 8)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from core import models
from core.access import Invalid, LimitReached, Limits, NameTaken, NotFound
from core.access_keys import issue_key, list_keys
from core.db import Database, open_database
from core.settings import Settings
from core.types import Strategy, UserStatus
from core.users import Profile, User, activate_user, add_user, change_user, delete_user, find_user, list_users
from tests.core.office import NOW, SECOND, SERVER_SECRET, Office


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def changed(office: Office, user: User, **values: Any) -> User:
    return office.database.run(lambda c: change_user(c, user.id, lambda now: replace(now, **values), NOW + SECOND))


def found(office: Office, name_or_id: str) -> User:
    return office.database.read(lambda c: find_user(c, name_or_id))


def deleted(office: Office, user: User) -> None:
    office.database.run(lambda c: delete_user(c, user.id, NOW))


def test_everything_an_administrator_knows_of_a_user_can_be_changed(office: Office) -> None:
    ann = office.add("ann")
    profile = Profile("ann@example.com", "left desk\nsecond floor", 50_000_000)

    after = changed(office, ann, name="ann b", strategy=Strategy.BEDROCK_ONLY, profile=profile)
    assert found(office, ann.id) == after
    assert (after.name, after.strategy, after.profile) == ("ann b", Strategy.BEDROCK_ONLY, profile)
    assert (after.status, after.created_at) == (ann.status, ann.created_at)


def test_a_changed_strategy_is_the_strategy_of_the_users_keys(office: Office) -> None:
    ann = office.add("ann")
    key, own = office.issue(ann), office.issue(ann, strategy=Strategy.PLAN_FIRST)
    revision = office.revision()

    changed(office, ann, strategy=Strategy.PLAN_ONLY)
    grants = [office.grant(each) for each in (key, own)]
    assert [grant and grant.strategy for grant in grants] == [Strategy.PLAN_ONLY, Strategy.PLAN_FIRST]
    assert office.revision() == revision + 1


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": " ann"},
        {"profile": Profile(email="nowhere")},
        {"profile": Profile(email="a b@example.com")},
        {"profile": Profile(email="a@" + "x" * 320)},
        {"profile": Profile(note="x" * 2001)},
        {"profile": Profile(note="bell\x07")},
        {"profile": Profile(monthly_budget_micros=-1)},
        {"profile": Profile(monthly_budget_micros=10**15 + 1)},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_and_changes_nothing(office: Office, values: dict[str, Any]) -> None:
    ann = office.add("ann")

    with pytest.raises(Invalid):
        changed(office, ann, **values)
    assert found(office, ann.id) == ann


def test_a_user_cannot_take_the_name_of_another(office: Office) -> None:
    ann, bob = office.add("ann"), office.add("bob")

    with pytest.raises(NameTaken, match="bob"):
        changed(office, ann, name="bob")
    assert changed(office, bob, name="bob", strategy=Strategy.PLAN_ONLY).name == "bob"


def test_deleting_a_user_ends_their_keys_and_destroys_their_bedrock_keys(office: Office) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    key, others = office.issue(ann), office.issue(bob)
    office.attach(ann), office.attach(ann, access_key_id=key.id), office.attach(bob)

    deleted(office, ann)
    assert (office.grant(key), office.grant(others) is not None) == (None, True)
    rows = office.database.read(lambda c: c.execute(select(models.bedrock_keys).order_by("id")).all())
    assert [(row.sealed == b"", row.deleted_at) for row in rows] == [(True, NOW), (True, NOW), (False, None)]
    assert [each.revoked_at for each in office.database.read(list_keys)] == [NOW, None]


def test_deleting_is_final_and_the_row_stays(office: Office) -> None:
    ann = office.add("ann")
    deleted(office, ann)

    for act in (activate_user, delete_user):
        with pytest.raises(NotFound):
            office.database.run(lambda c, act=act: act(c, ann.id, NOW))
    with pytest.raises(NotFound):
        changed(office, ann, name="again")
    assert office.database.read(list_users) == []
    assert office.database.read(lambda c: c.execute(select(models.users.c.status)).scalars().all()) == [UserStatus.DELETED]


def test_the_name_of_a_deleted_user_stays_theirs(office: Office) -> None:
    deleted(office, office.add("ann"))

    with pytest.raises(NameTaken, match="deleted"):
        office.add("ann")


def test_a_deleted_user_leaves_room_for_another(office: Office) -> None:
    first, *_ = [office.add(name) for name in ("a", "b", "c")]
    deleted(office, first)

    assert office.add("d").status is UserStatus.ACTIVE


# Limits, with many at once: each on a connection of its own


@pytest.fixture
def crowded(postgres_server: Any) -> Iterator[Database]:
    url = postgres_server.migrated()
    opened = open_database(Settings(database_url=url), pool_size=11)  # one for each of the most that come at once
    yield opened
    opened.close()
    postgres_server.drop(url)


def at_once(count: int, work: Callable[[int], Any]) -> list[str]:
    """What became of each: `done`, or the name of the refusal."""
    together, ends = threading.Barrier(count), list[str]()

    def one(number: int) -> None:
        together.wait(10)
        try:
            work(number)
            ends.append("done")
        except LimitReached:
            ends.append("limit")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(ends)


def test_many_who_add_users_at_once_stay_within_the_limit(crowded: Database) -> None:
    limits = Limits(max_users=2, max_keys_per_user=2)

    ends = at_once(6, lambda n: crowded.run(lambda c: add_user(c, f"user {n}", Strategy.PLAN_FIRST, limits, NOW)))
    assert ends == ["done"] * 2 + ["limit"] * 4
    assert len(crowded.read(list_users)) == 2


def test_many_who_issue_keys_at_once_stay_within_the_limit(crowded: Database) -> None:
    limits = Limits(max_users=2, max_keys_per_user=2)
    ann = crowded.run(lambda c: add_user(c, "ann", Strategy.PLAN_FIRST, limits, NOW))

    ends = at_once(6, lambda _: crowded.run(lambda c: issue_key(c, ann, SERVER_SECRET, limits, NOW)))
    assert ends == ["done"] * 2 + ["limit"] * 4
    assert len(crowded.read(list_keys)) == 2


def test_a_thousand_users_with_ten_keys_each_fit_and_not_one_more(crowded: Database) -> None:
    """The numbers of the specification, which are the settings' defaults."""
    limits = Limits.of(Settings())
    rows = [{"id": f"usr_{n}", "name": f"user {n}", "strategy": "plan_first", "status": "active"} for n in range(1000)]
    fixed = {"created_at": NOW, "updated_at": NOW, "email": "", "note": ""}
    crowded.run(lambda c: c.execute(models.users.insert(), [{**row, **fixed} for row in rows]))
    last = crowded.read(lambda c: find_user(c, "usr_999"))

    with pytest.raises(LimitReached, match="1000 users, as many as PROXY_MAX_USERS allows"):
        crowded.run(lambda c: add_user(c, "one more", Strategy.PLAN_FIRST, limits, NOW))
    assert at_once(11, lambda _: crowded.run(lambda c: issue_key(c, last, SERVER_SECRET, limits, NOW))) == ["done"] * 10 + [
        "limit"
    ]
    with pytest.raises(LimitReached, match=r"10 active keys of .*, as many as PROXY_MAX_KEYS_PER_USER allows"):
        crowded.run(lambda c: issue_key(c, last, SERVER_SECRET, limits, NOW))
