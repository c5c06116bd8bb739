"""One-time links as operations: told once, listed while they are open, withdrawn."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from admin_app import claim_operations as does
from core.access import Invalid, NotFound
from core.actor import Role
from core.claims import NotClaimable, use_claim
from core.db import Database
from core.users import deactivate_user
from tests.admin_app.desk import Desk
from tests.core.office import LIMITS, NOW, SERVER_SECRET, Office


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, Role.EDITOR)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def token_of(link: does.NewLinkShown) -> str:
    return link.url.rpartition("/")[2]


def test_a_link_is_told_once_and_makes_a_key_of_its_options(desk: Desk, office: Office) -> None:
    user = office.add("Ada")

    link = desk.does(does.OPEN, user_id=user.id, name="laptop", requests_per_minute=30)

    assert link.url.startswith("https://proxy.example.com/claim/")
    assert (link.key_name, link.key_requests_per_minute, link.expires_at) == ("laptop", 30, NOW + timedelta(hours=24))
    listed, audited = msgspec.json.encode(desk.does(does.LIST)), msgspec.json.encode(desk.audited())
    assert token_of(link).encode() not in listed + audited + repr(link).encode()
    issued = office.database.run(lambda c: use_claim(c, token_of(link), SERVER_SECRET, LIMITS, NOW))
    assert office.grant(issued).requests_per_minute == 30  # type: ignore[union-attr]


def test_open_links_are_those_that_may_be_used(desk: Desk, office: Office) -> None:
    ada, bob, eve = office.add("Ada"), office.add("Bob"), office.add("Eve")
    used, open_, of_inactive = (desk.does(does.OPEN, user_id=user.id) for user in (bob, ada, eve))
    office.database.run(lambda c: use_claim(c, token_of(used), SERVER_SECRET, LIMITS, NOW))
    office.database.run(lambda c: deactivate_user(c, eve.id, NOW))

    found = [each.id for each in desk.does(does.LIST).data]
    desk.now = NOW + timedelta(hours=24)

    assert (found, of_inactive.id in found, desk.does(does.LIST).data) == ([open_.id], False, [])


def test_links_are_listed_by_user_and_page_by_page(desk: Desk, office: Office) -> None:
    ada, bob = office.add("Ada"), office.add("Bob")
    made = [desk.does(does.OPEN, user_id=ada.id).id for _ in range(3)]
    desk.does(does.OPEN, user_id=bob.id)

    first = desk.does(does.LIST, user_id=ada.id, limit=2)
    second = desk.does(does.LIST, user_id=ada.id, limit=2, cursor=first.next_cursor)

    assert [each.id for each in (*first.data, *second.data)] == sorted(made, reverse=True)
    assert second.next_cursor is None


def test_a_withdrawn_link_gives_no_key_and_the_others_stay(desk: Desk, office: Office) -> None:
    user = office.add("Ada")
    kept, link = desk.does(does.OPEN, user_id=user.id), desk.does(does.OPEN, user_id=user.id)

    desk.later(seconds=1).does(does.WITHDRAW, claim_id=link.id)

    with pytest.raises(NotClaimable):
        office.database.run(lambda c: use_claim(c, token_of(link), SERVER_SECRET, LIMITS, NOW))
    assert [each.id for each in desk.does(does.LIST).data] == [kept.id]
    assert desk.audited()[0].action == "link.withdraw"


def test_a_used_link_cannot_be_withdrawn(desk: Desk, office: Office) -> None:
    link = desk.does(does.OPEN, user_id=office.add("Ada").id)
    office.database.run(lambda c: use_claim(c, token_of(link), SERVER_SECRET, LIMITS, NOW))

    with pytest.raises(NotFound):
        desk.does(does.WITHDRAW, claim_id=link.id)


def test_nobody_who_is_inactive_gets_a_link(desk: Desk, office: Office) -> None:
    user = office.add("Ada")
    office.database.run(lambda c: deactivate_user(c, user.id, NOW))

    with pytest.raises(Invalid):
        desk.does(does.OPEN, user_id=user.id)

    assert desk.audited() == []
