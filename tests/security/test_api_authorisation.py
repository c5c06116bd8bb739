"""Every operation of the API, for every kind of caller: exactly the declared role gets in, and a cookie is worth nothing.

Operations come from the table that serves them. What changes something is asked of ids that nothing has.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from admin_app.operation import Offer
from core.actor import Role
from core.api_tokens import NewToken, delete_all, issue_token
from tests.core.office import NOW, SERVER_SECRET
from tests.security.house import FOREIGN_ADDRESS, HOME_ADDRESS, UNKNOWN, House, Visitor

API = "/admin/api/v1"
IN, NOBODY, REFUSED = "in", "nobody", "refused"
ENDED = timedelta(days=1)


def bearer(house: House, role: Role, began: timedelta = timedelta()) -> str:
    """An API token for one day, of an admin of the role."""
    made = NOW - began
    new = NewToken("a program", role, made + ENDED)

    def issue(connection: Any) -> str:
        delete_all(connection, house.admins[role])  # an admin has twenty at most
        return issue_token(connection, house.admins[role], new, SERVER_SECRET, made).token

    return house.database.run(issue)


def ask(house: House, offer: Offer, headers: dict[str, str], address: str = HOME_ADDRESS) -> Any:
    path = re.sub(r"\{\w+\}", UNKNOWN, offer.path)
    body = None if offer.method in ("GET", "DELETE") else "{}"
    typed = {"content-type": "application/json"} if body else {}
    return Visitor(address=address).send(house.app, offer.method, API + path, body, {**typed, **headers})


def table(house: House, headers: Any, address: str = HOME_ADDRESS) -> dict[str, str]:
    """`headers()` for each question anew: one of the operations ends the token that asks for it."""
    return {named(offer): outcome(ask(house, offer, headers(), address).status_code) for offer in house.app.offers}


def named(offer: Offer) -> str:
    return f"{offer.method} {offer.path}"


def outcome(status: int) -> str:
    if status >= 500:
        return f"failed: {status}"
    return {401: NOBODY, 403: REFUSED}.get(status, IN)


def expected(house: House, role: Role | None, refused: str) -> dict[str, str]:
    may = {named(each): each.is_open or (role is not None and role.includes(each.operation.role)) for each in house.app.offers}
    return {question: IN if is_in else refused for question, is_in in may.items()}


def test_there_are_as_many_operations_as_there_should_be(house: House) -> None:
    assert len(house.app.offers) >= 30


@pytest.mark.parametrize("role", list(Role))
def test_a_token_does_exactly_what_its_role_may(house: House, role: Role) -> None:
    asked = table(house, lambda: {"authorization": f"Bearer {bearer(house, role)}"})

    assert asked == expected(house, role, REFUSED)


def test_without_a_token_nothing_is_done(house: House) -> None:
    assert table(house, dict) == expected(house, None, NOBODY)


def test_a_token_that_ended_does_nothing(house: House) -> None:
    asked = table(house, lambda: {"authorization": f"Bearer {bearer(house, Role.OWNER, ENDED + ENDED)}"})

    assert asked == expected(house, None, NOBODY)


def test_a_browsers_session_does_nothing_so_that_no_other_site_can_use_it(house: House) -> None:
    before = house.rows()

    asked = table(house, lambda: {"cookie": f"session={house.signed_in(Role.OWNER).cookie}"})

    assert asked == expected(house, None, NOBODY)
    assert house.rows() == before


def test_from_a_wrong_address_not_even_a_token_is_given(house: House) -> None:
    token = bearer(house, Role.OWNER)
    statuses = {
        named(each): ask(house, each, {"authorization": f"Bearer {token}"}, FOREIGN_ADDRESS).status_code
        for each in house.app.offers
    }

    assert set(statuses.values()) == {403}


@pytest.mark.parametrize("sent", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_that_a_form_of_another_site_could_send_is_refused(house: House, sent: str) -> None:
    owner = {"authorization": f"Bearer {bearer(house, Role.OWNER)}", "content-type": sent}
    before = house.rows()
    with_body = [each for each in house.app.offers if each.method in ("POST", "PATCH", "PUT") and not each.is_open]

    statuses = {
        named(each): Visitor()
        .send(house.app, each.method, API + re.sub(r"\{\w+\}", UNKNOWN, each.path), json.dumps({"name": "forged"}), owner)
        .status_code
        for each in with_body
    }

    assert {question: status for question, status in statuses.items() if not 400 <= status < 500} == {}
    assert house.rows() == before
