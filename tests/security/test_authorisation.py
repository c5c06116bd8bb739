"""Every address of the administration, for every kind of visitor: exactly who gets in (SPEC sections 11, 12).

Addresses and methods come from the app's own route table, roles from what a page performs or from the one table of the product
(admin_app/who_may.py). What the product declares is held against rules of a few lines, and against what the running app does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from falcon.testing import Result

from admin_app.doorkeeper import HOME
from admin_app.who_may import OPEN, OWN, READERS, Undeclared, declared, least_role
from core.actor import Role
from tests.admin_app.route_table import Route
from tests.security.house import FOREIGN_ADDRESS, House, Visitor

IN, SIGN_IN, REFUSED = "in", "sign in", "refused"
Table = dict[str, str]

OWNERS = f"{HOME}/admins"
OPEN_TO_ALL = ("/claim",)  # developers come from anywhere, with a link that is a secret
READS_BY_FORM = (f"{HOME}/login", f"{HOME}/logout")


def expected(house: House, role: Role | None, refused: str) -> Table:
    """Role None: not signed in."""
    table = {}
    for route in house.routes:
        for method in route.methods:
            least = least_role(route.path, route.resource)
            may = least is None or (role is not None and role.includes(least))
            table[f"{method} {route.path}"] = IN if may else refused
    return table


def happened(house: House, visitor: Any) -> Table:
    """`visitor()` for each question anew. What would change something is asked of ids that nothing has."""
    table = {}
    for route in house.routes:
        for method in route.methods:
            asking: Visitor = visitor()
            ids = house.furnished.ids if method == "GET" else house.unknown
            form = None if method == "GET" else {"csrf_token": asking.token}
            table[f"{method} {route.path}"] = outcome(route, asking.ask(house.app, method, route.at(ids), form))
    return table


def outcome(route: Route, answer: Result) -> str:
    where = answer.headers.get("location", "")
    if answer.status_code >= 500:
        return f"failed: {answer.status_code}"
    if where.startswith(f"{HOME}/login") or (route.path not in READS_BY_FORM and "<h1>Sign in</h1>" in answer.text):
        return SIGN_IN
    if answer.status_code == 403 and route.path != f"{HOME}/login":  # a sign-in form without its cookie is out of date
        return REFUSED
    return IN


@pytest.mark.parametrize("role", list(Role))
def test_each_role_gets_exactly_what_it_may(house: House, role: Role) -> None:
    assert happened(house, lambda: house.signed_in(role)) == expected(house, role, REFUSED)


def test_who_is_not_signed_in_gets_the_sign_in_and_nothing_else(house: House) -> None:
    assert happened(house, Visitor) == expected(house, None, SIGN_IN)


def test_a_session_that_expired_is_worth_nothing(house: House) -> None:
    assert happened(house, lambda: house.expired(Role.OWNER)) == expected(house, None, SIGN_IN)


def test_a_made_up_cookie_is_worth_nothing(house: House) -> None:
    assert happened(house, lambda: replace(house.signed_in(Role.OWNER), cookie="made-up")) == expected(house, None, SIGN_IN)


def test_from_a_wrong_address_nobody_gets_more_than_a_link(house: House) -> None:
    owner = replace(house.signed_in(Role.OWNER), address=FOREIGN_ADDRESS)
    asked = [(route, method) for route in house.routes for method in route.methods]

    refused = {
        f"{method} {route.path}": "Not from this address" in owner.ask(house.app, method, route.at(house.unknown)).text
        for route, method in asked
    }

    assert refused == {
        f"{method} {route.path}": not route.path.startswith(OPEN_TO_ALL) for route in house.routes for method in route.methods
    }


def test_what_changes_something_performs_an_operation_unless_it_is_an_admins_own(house: House) -> None:
    changing = {route.path: route.resource for route in house.routes if route.changes}

    performing = {path for path, resource in changing.items() if hasattr(resource, "performs")}

    assert len(performing) >= 25
    assert changing.keys() - performing <= OWN | OPEN


def test_what_is_declared_is_what_a_few_rules_say(house: House) -> None:
    """Or a role that was lowered by mistake would be lowered in the expectation, too."""
    roles = {route.path: least_role(route.path, route.resource) for route in house.routes}

    of_admins = {path: role for path, role in roles.items() if path.startswith(OWNERS)}
    changing = {route.path for route in house.routes if route.changes} - of_admins.keys() - OWN - OPEN
    assert set(of_admins.values()) == {Role.OWNER}
    assert {roles[path] for path in changing} == {Role.EDITOR}
    assert {path for path, role in roles.items() if role is None} == OPEN | {each.path for each in house.routes if each.is_file}
    assert {role for path, role in READERS.items() if path not in of_admins} == {Role.VIEWER}


def test_the_table_of_the_product_names_no_address_that_is_not_there(house: House) -> None:
    assert READERS.keys() | OWN | OPEN <= {route.path for route in house.routes}


class Reading:
    def on_get(self) -> None: ...


class Changing(Reading):
    def on_post(self) -> None: ...


@pytest.mark.parametrize(("path", "page"), [(f"{HOME}/forgotten", Reading), (f"{HOME}/users", Changing)])
def test_an_address_that_nobody_declared_is_not_served(path: str, page: type[Reading]) -> None:
    """Neither a new page, nor a form on an address that was declared to be read."""
    with pytest.raises(Undeclared, match=path):
        declared({path: page()})


def test_a_method_that_an_address_does_not_have_is_refused(house: House) -> None:
    owner = house.signed_in(Role.OWNER)
    missing = [(route, method) for route in house.routes for method in ("PUT", "PATCH", "DELETE") if method not in route.methods]

    answers = {owner.ask(house.app, method, route.at(house.unknown)).status_code for route, method in missing}

    assert answers == {405}
