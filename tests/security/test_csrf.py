"""Forms that were not made here: each address that changes something, asked as another site could make a browser ask it.

Every one is generated from the app's own route table, with ids of things that are there and the cookie of an owner: what would
get through would show in the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from admin_app.doorkeeper import HOME
from core.actor import Role
from tests.admin_app.route_table import Route
from tests.security.house import FORM, House, Visitor

HOST = "falconframework.org"  # what these requests are sent to
LINKS = "/claim/"  # the link itself is the secret that a forged form would have to know: no cookie, no token
FIELDS = {"name": "forged", "role": "owner", "days": "30", "others": "1", "model": "claude-forged", "input": "1", "output": "1"}


def sent(visitor: Visitor, house: House, route: Route, method: str, body: str, headers: dict[str, str]) -> int:
    cookie = {"cookie": f"session={visitor.cookie}"}
    return visitor.send(house.app, method, route.at(house.furnished.ids), body, {**cookie, **headers}).status_code


def fields(token: str | None) -> dict[str, str]:
    return FIELDS if token is None else {**FIELDS, "csrf_token": token}


def multipart(token: str) -> str:
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields(token).items()]
    return "".join(parts) + "--x--\r\n"


# name -> what is sent, given the owner's own token and that of another session
Forgery = Callable[[str, str], tuple[str, dict[str, str]]]
FORGERIES: dict[str, Forgery] = {
    "no token": lambda own, other: (urlencode(fields(None)), {"content-type": FORM}),
    "an empty token": lambda own, other: (urlencode(fields("")), {"content-type": FORM}),
    "another session's token": lambda own, other: (urlencode(fields(other)), {"content-type": FORM}),
    "a token cut short": lambda own, other: (urlencode(fields(own[:-1])), {"content-type": FORM}),
    "from another site": lambda own, other: (urlencode(fields(own)), {"content-type": FORM, "sec-fetch-site": "cross-site"}),
    "from a sister site": lambda own, other: (urlencode(fields(own)), {"content-type": FORM, "sec-fetch-site": "same-site"}),
    "from another origin": lambda own, other: (urlencode(fields(own)), {"content-type": FORM, "origin": "https://evil.example"}),
    "from an origin that looks alike": lambda own, other: (
        urlencode(fields(own)),
        {"content-type": FORM, "origin": f"http://{HOST}.x"},
    ),
    "from another port": lambda own, other: (urlencode(fields(own)), {"content-type": FORM, "origin": f"http://{HOST}:8081"}),
    "as plain text": lambda own, other: (urlencode(fields(own)), {"content-type": "text/plain"}),
    "without a type": lambda own, other: (urlencode(fields(own)), {}),
    "as JSON": lambda own, other: (json.dumps(fields(own)), {"content-type": "application/json"}),
    "as JSON called text": lambda own, other: (json.dumps(fields(own)), {"content-type": "text/plain;application/json"}),
    "in parts": lambda own, other: (multipart(own), {"content-type": "multipart/form-data; boundary=x"}),
    "the token in the address": lambda own, other: (urlencode(fields(None)), {"content-type": FORM, "x-csrf-token": own}),
}
FROM_ELSEWHERE = tuple(name for name in FORGERIES if name.startswith("from "))


def changing(house: House) -> list[tuple[Route, str]]:
    return [(route, method) for route in house.routes for method in route.changes if not route.path.startswith(LINKS)]


def test_there_are_as_many_addresses_that_change_something_as_there_should_be(house: House) -> None:
    """Or the proofs below would be about nothing."""
    paths = {route.path for route, _ in changing(house)}
    assert len(paths) >= 25
    assert {f"{HOME}/users/new", f"{HOME}/keys/{{key_id}}/revoke", f"{HOME}/account/totp/off", f"{HOME}/logout"} <= paths


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_form_is_refused_everywhere_and_changes_nothing(house: House, forgery: str) -> None:
    owner, other = house.signed_in(Role.OWNER), house.signed_in(Role.OWNER)
    body, headers = FORGERIES[forgery](owner.token, other.token)
    before = house.rows()

    statuses = {f"{method} {route.path}": sent(owner, house, route, method, body, headers) for route, method in changing(house)}

    assert {question: status for question, status in statuses.items() if status not in (403, 415)} == {}
    assert house.rows() == before
    assert owner.ask(house.app, "GET", f"{HOME}/account").status_code == 200  # and nobody was signed out


@pytest.mark.parametrize("forgery", FROM_ELSEWHERE)
def test_a_link_is_not_used_from_another_site(house: House, forgery: str) -> None:
    body, headers = FORGERIES[forgery]("", "")
    before = house.rows()

    links = [route for route in house.routes if route.path.startswith(LINKS) and route.changes]
    statuses = [sent(Visitor(), house, route, "POST", body, headers) for route in links]

    assert (statuses, house.rows() == before) == ([403], True)


def test_looking_changes_nothing_whatever_is_looked_at(house: House) -> None:
    """Or a picture on another site could do it: no token is asked for then."""
    owner, before = house.signed_in(Role.OWNER), house.rows()
    shown = [route for route in house.routes if "GET" in route.methods]

    statuses = {route.path: owner.ask(house.app, "GET", route.at(house.furnished.ids), None).status_code for route in shown}

    assert len(statuses) > 40
    assert {path: status for path, status in statuses.items() if status not in (200, 303)} == {}
    assert house.rows() == before


@pytest.mark.parametrize(
    "said",
    [
        {"sec_fetch_site": "same-origin"},
        {"origin": f"http://{HOST}"},
        {"origin": "null"},  # what our own referrer policy makes of it
        {"origin": "https://proxy.example.com", "sec_fetch_site": "same-origin"},  # something in front changes Host
        {},
    ],
    ids=str,
)
def test_a_form_of_its_own_page_is_let_through(house: House, said: dict[str, str]) -> None:
    """What the refusals above are worth: the same form with its token is not refused."""
    owner = house.signed_in(Role.OWNER)
    form: Any = {"csrf_token": owner.token, "name": f"made here {sorted(said.items())}"}

    answer = owner.ask(house.app, "POST", f"{HOME}/users/new", form, **said)

    assert (answer.status_code, "notice=user-added" in answer.headers["location"]) == (303, True)
