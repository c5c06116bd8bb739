"""One-time links: a key for whoever has one, once (SPEC section 8)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core import models
from core.access import Invalid, LimitReached, Limits
from core.access_keys import IssuedKey, KeyOptions, list_keys, revoke_key, rotate_key
from core.claims import GOOD_FOR, SHOWN_AGAIN_FOR, Claim, NotClaimable, check_claim, open_claim, use_claim, withdraw_claims
from core.crypto import derived_access_key, is_wellformed
from core.db import Database, open_database
from core.settings import Settings
from core.types import Strategy
from core.users import User, activate_user, deactivate_user, delete_user
from tests.core.office import LIMITS, NOW, SECOND, SERVER_SECRET, Office
from tests.core.test_users import at_once

PRESS, OTHER_PRESS = "p" * 22, "q" * 22


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def opened(office: Office, user: User, options: KeyOptions | None = None) -> Claim:
    return office.database.run(lambda c: open_claim(c, user, options or KeyOptions(), SERVER_SECRET, NOW))


def used(office: Office, token: str, at: datetime = NOW, limits: Limits = LIMITS, press: str = "") -> IssuedKey:
    return office.database.run(lambda c: use_claim(c, token, SERVER_SECRET, limits, at, press))


def is_good(office: Office, token: str, at: datetime = NOW) -> bool:
    try:
        office.database.read(lambda c: check_claim(c, token, SERVER_SECRET, at))
    except NotClaimable:
        return False
    return True


def test_a_link_is_stored_as_a_hash_and_there_is_no_key_before_it_is_used(office: Office) -> None:
    claim = opened(office, office.add("ann"))

    [row] = office.database.read(lambda c: c.execute(select(models.claims)).all())
    assert re.fullmatch(r"[0-9A-Za-z_-]{22}", claim.token)
    assert claim.token not in str(tuple(row)) + repr(claim)
    assert office.database.read(list_keys) == []


def test_using_a_link_issues_the_key_it_stands_for(office: Office) -> None:
    options = KeyOptions("laptop", NOW + timedelta(days=9), Strategy.PLAN_ONLY, 5, 6)
    ann = office.add("ann")
    issued = used(office, opened(office, ann, options).token)

    [key] = office.database.read(list_keys)
    assert (key.id, key.user_id, key.options) == (issued.id, ann.id, options)
    assert office.grant(issued) is not None


def test_a_link_works_once(office: Office) -> None:
    claim = opened(office, office.add("ann"))
    used(office, claim.token)

    assert not is_good(office, claim.token)
    with pytest.raises(NotClaimable):
        used(office, claim.token)
    assert len(office.database.read(list_keys)) == 1


def test_the_same_press_again_shows_the_same_key_for_two_minutes(office: Office) -> None:
    """A double click, or an answer that was lost on its way."""
    claim = opened(office, office.add("ann"))
    first = used(office, claim.token, press=PRESS)

    assert timedelta(minutes=2) == SHOWN_AGAIN_FOR
    assert used(office, claim.token, NOW + SHOWN_AGAIN_FOR - SECOND, press=PRESS) == first
    assert len(office.database.read(list_keys)) == 1
    with pytest.raises(NotClaimable):
        used(office, claim.token, NOW + SHOWN_AGAIN_FOR, press=PRESS)


@pytest.mark.parametrize("press", ["", OTHER_PRESS, PRESS[:-1], PRESS + "x", "é" * 22])
def test_a_press_of_another_page_is_shown_nothing(office: Office, press: str) -> None:
    claim = opened(office, office.add("ann"))
    used(office, claim.token, press=PRESS)

    with pytest.raises(NotClaimable):
        used(office, claim.token, press=press)


@pytest.mark.parametrize("press", ["", PRESS[:-1], "é" * 22])
def test_a_press_without_a_name_of_its_own_is_good_once(office: Office, press: str) -> None:
    claim = opened(office, office.add("ann"))
    used(office, claim.token, press=press)

    with pytest.raises(NotClaimable):
        used(office, claim.token, press=press)


def test_keys_differ_by_link_press_and_secret(office: Office) -> None:
    links = [opened(office, office.add(name)) for name in ("ann", "bob", "cid")]
    keys = [used(office, link.token, press=press) for link, press in zip(links, (PRESS, PRESS, OTHER_PRESS), strict=True)]
    made = {(secret, link.token, press) for secret in ("a", "b") for link in links for press in (PRESS, OTHER_PRESS)}

    assert all(is_wellformed(key.access_key) for key in keys)
    assert len({key.access_key for key in keys}) == 3
    assert len({derived_access_key(*each) for each in made}) == len(made) == 12


def test_what_became_of_the_key_meanwhile_ends_the_showing(office: Office) -> None:
    users = [office.add(name) for name in ("ann", "bob", "cid")]
    links = [opened(office, user) for user in users]
    ann, bob, _ = [used(office, link.token, press=PRESS) for link in links]
    office.database.run(lambda c: revoke_key(c, ann.id, NOW))
    office.database.run(lambda c: rotate_key(c, bob.id, SERVER_SECRET, 300.0, NOW))
    office.database.run(lambda c: deactivate_user(c, users[2].id, NOW))

    for link in links:
        with pytest.raises(NotClaimable):
            used(office, link.token, press=PRESS)


def test_looking_at_a_link_uses_nothing(office: Office) -> None:
    claim = opened(office, office.add("ann"))

    assert [is_good(office, claim.token) for _ in range(3)] == [True] * 3
    assert used(office, claim.token).id


def test_a_link_is_good_for_a_day(office: Office) -> None:
    claim = opened(office, office.add("ann"))

    assert timedelta(hours=24) == GOOD_FOR
    assert is_good(office, claim.token, NOW + GOOD_FOR - SECOND)
    assert not is_good(office, claim.token, NOW + GOOD_FOR)
    with pytest.raises(NotClaimable):
        used(office, claim.token, NOW + GOOD_FOR)


@pytest.mark.parametrize("token", ["", "x" * 22, "x" * 21, "x" * 23, "é" * 22, "../../admin/login/xxxxx", "x" * 21 + "\n"])
def test_a_guess_finds_nothing(office: Office, token: str) -> None:
    opened(office, office.add("ann"))

    assert not is_good(office, token)
    with pytest.raises(NotClaimable):
        used(office, token)


def test_a_link_follows_its_users_fate(office: Office) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    claim, other = opened(office, ann), opened(office, bob)
    office.database.run(lambda c: deactivate_user(c, ann.id, NOW))
    office.database.run(lambda c: delete_user(c, bob.id, NOW))
    assert [is_good(office, each.token) for each in (claim, other)] == [False, False]

    office.database.run(lambda c: activate_user(c, ann.id, NOW))
    assert is_good(office, claim.token)


def test_an_inactive_user_gets_no_link(office: Office) -> None:
    ann = office.add("ann")
    office.database.run(lambda c: deactivate_user(c, ann.id, NOW))

    with pytest.raises(Invalid, match="not active"):
        opened(office, ann)


def test_where_there_is_no_room_for_a_key_the_link_stays_good(office: Office) -> None:
    ann = office.add("ann")
    claim = opened(office, ann)
    full = [office.issue(ann), office.issue(ann)]
    with pytest.raises(LimitReached):
        used(office, claim.token)

    office.revoke(full[0])
    assert used(office, claim.token).id


def test_links_that_are_not_used_yet_can_be_withdrawn(office: Office) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    claims = [opened(office, ann), opened(office, ann), opened(office, bob)]
    used(office, claims[0].token)

    assert office.database.run(lambda c: withdraw_claims(c, ann.id)) == 1
    assert [is_good(office, claim.token) for claim in claims] == [False, False, True]


@pytest.mark.parametrize("options", [KeyOptions(name="a\nb"), KeyOptions(requests_per_minute=0), KeyOptions(expires_at=NOW)])
def test_a_link_for_an_impossible_key_is_refused_at_once(office: Office, options: KeyOptions) -> None:
    ann = office.add("ann")
    with pytest.raises(Invalid):
        opened(office, ann, options)


@pytest.fixture
def crowded(postgres_server: Any) -> Iterator[Office]:
    url = postgres_server.migrated()
    database = open_database(Settings(database_url=url), pool_size=6)
    yield Office(database)
    database.close()
    postgres_server.drop(url)


def test_of_many_who_use_a_link_at_once_one_gets_a_key(crowded: Office) -> None:
    claim = opened(crowded, crowded.add("ann"))
    got: list[IssuedKey] = []

    def use(_: int) -> None:
        try:
            got.append(used(crowded, claim.token, limits=Limits(9, 9)))
        except NotClaimable:
            raise LimitReached from None

    assert at_once(6, use) == ["done"] + ["limit"] * 5
    assert [key.id for key in crowded.database.read(list_keys)] == [got[0].id]
