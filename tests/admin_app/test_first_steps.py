"""The checklist of a new installation: what it asks for next, and that it goes away."""

from __future__ import annotations

import re
from typing import Any

import pytest

from admin_app import dashboard_operations as does
from core.actor import Role
from core.admins import add_admin
from core.db import Database
from core.ledger import write_batch
from core.pages import Pages
from core.record import RequestRecord
from core.types import Strategy
from tests.admin_app.desk import Desk
from tests.core.office import NOW, Office


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, Role.VIEWER)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def checklist(desk: Desk, **more: Any) -> str:
    values = {"steps": desk.does(does.GET).steps, "may_edit": True, "may_own": False, **more}
    return Pages("0.0.0").render("_first_steps.html", **values)


def links(page: str) -> list[str]:
    return re.findall(r'href="([^"]+)"', page)


def test_at_first_only_the_server_secret_is_there_and_a_user_comes_next(desk: Desk) -> None:
    page = checklist(desk)

    assert (page.count('class="done"'), links(page)) == (1, ["/admin/users/new"])
    assert "export ANTHROPIC_BASE_URL=https://proxy.example.com/ak/&lt;access key&gt;" in page


def test_with_a_user_their_keys_come_next(desk: Desk, office: Office) -> None:
    user = office.add("Ada")

    page = checklist(desk)

    assert links(page) == [f"/admin/users/{user.id}/keys/new", f"/admin/users/{user.id}/bedrock-keys/new"]


def test_a_bedrock_key_whose_test_failed_leads_to_where_it_can_be_tested(desk: Desk, office: Office) -> None:
    user = office.add("Ada")
    office.issue(user)
    office.attach(user)

    page = checklist(desk)

    assert (links(page), "no test of one succeeded" in page) == ([f"/admin/users/{user.id}"], True)


def test_a_viewer_sees_the_steps_without_a_link(desk: Desk) -> None:
    page = checklist(desk, may_edit=False)

    assert ("A first user" in page, links(page)) == (True, [])


def test_an_owner_without_a_second_factor_is_a_step_that_only_owners_are_led_to(desk: Desk) -> None:
    desk.database.run(lambda c: add_admin(c, "ann", Role.OWNER, "a hash", NOW))

    of_owner, of_viewer = checklist(desk, may_own=True), checklist(desk)

    assert ("/admin/account" in links(of_owner), "/admin/account" in links(of_viewer)) == (True, False)
    assert "A second factor for every owner" in of_viewer


def test_when_all_is_done_nothing_is_left_of_it(desk: Desk, office: Office) -> None:
    office.issue(office.add("Ada", Strategy.PLAN_ONLY))
    office.database.run(lambda c: write_batch(c, [RequestRecord("req_1", NOW.timestamp(), "u", "k")]))

    assert (desk.does(does.GET).steps, checklist(desk).strip()) == (None, "")
