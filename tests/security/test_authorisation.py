"""Every address of the administration, for every kind of visitor: exactly who gets in (SPEC sections 11, 12).

Addresses and methods come from the app's own route table. What a role may is said here once more, in rules of a few lines, and
compared with what operations declare and with what the running app does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from falcon.testing import Result

from admin_app.doorkeeper import HOME
from core.actor import Role
from tests.admin_app.route_table import Route
from tests.security.house import FOREIGN_ADDRESS, House, Visitor

IN, SIGN_IN, REFUSED = "in", "sign in", "refused"
Table = dict[str, str]

OWN = (f"{HOME}/account", f"{HOME}/confirm")  # an admin's own things, whatever their role
OWNERS = (f"{HOME}/admins",)
OPEN_TO_ALL = ("/claim",)  # developers come from anywhere, with a link that is a secret
READS_BY_FORM = (f"{HOME}/login", f"{HOME}/logout")


def least_role(route: Route, method: str) -> Role | None:
    """Who may. None: also who is not signed in."""
    if route.is_file or route.path.startswith(OPEN_TO_ALL) or route.path in READS_BY_FORM:
        return None
    if route.path.startswith(OWN):
        return Role.VIEWER
    if route.path.startswith(OWNERS):
        return Role.OWNER
    return Role.EDITOR if route.changes else Role.VIEWER


def declared_role(route: Route) -> Role | None:
    """What the operation behind a form or a button declares, where the page holds it."""
    operation: Any = getattr(route.resource, "_operation", None) or getattr(
        getattr(route.resource, "_deed", None), "operation", None
    )
    return None if operation is None else operation.role


def expected(house: House, role: Role | None, refused: str) -> Table:
    """Role None: not signed in."""
    table = {}
    for route in house.routes:
        for method in route.methods:
            least = least_role(route, method)
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
        route.path: "Not from this address" in owner.ask(house.app, method, route.at(house.unknown)).text
        for route, method in asked
    }

    assert refused == {route.path: not route.path.startswith(OPEN_TO_ALL) for route in house.routes}


def test_what_operations_declare_is_what_the_table_says(house: House) -> None:
    declared = {route.path: role for route in house.routes if (role := declared_role(route)) is not None}

    assert len(declared) >= 10
    assert declared == {route.path: least_role(route, "POST") for route in house.routes if route.path in declared}


def test_a_method_that_an_address_does_not_have_is_refused(house: House) -> None:
    owner = house.signed_in(Role.OWNER)
    missing = [(route, method) for route in house.routes for method in ("PUT", "PATCH", "DELETE") if method not in route.methods]

    answers = {owner.ask(house.app, method, route.at(house.unknown)).status_code for route, method in missing}

    assert answers == {405}
