"""`PROXY_ADMIN_REQUIRE_TOTP`: at every address and method, who has no second factor is led to setting one up, nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from admin_app.doorkeeper import ENROLMENT, HOME
from core.actor import Role
from tests.security.house import House, open_house

# Signing in and out, the password again, and the set-up itself; links are for developers.
STILL_OPEN = {f"{HOME}/login", f"{HOME}/logout", f"{HOME}/confirm", ENROLMENT, "/claim/{token}"}


@pytest.fixture(scope="module")
def strict(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    opened = open_house(sqlite_template, tmp_path_factory.mktemp("strict"), admin_require_totp=True)
    yield opened
    opened.app.close()
    opened.database.close()


@pytest.mark.parametrize("role", list(Role))
def test_every_address_leads_who_has_none_to_the_set_up_and_does_nothing(strict: House, role: Role) -> None:
    visitor, before = strict.signed_in(role), strict.rows()
    asked = [(each, method) for each in strict.routes for method in each.methods if not each.is_file]

    led = {
        f"{method} {route.path}": visitor.ask(
            strict.app,
            method,
            route.at(strict.furnished.ids),
            None if method == "GET" else {"csrf_token": visitor.token},
        ).headers.get("location")
        for route, method in asked
        if route.path not in STILL_OPEN
    }

    assert len(led) > 80
    assert set(led.values()) == {ENROLMENT}
    assert strict.rows() == before


def test_the_system_page_says_how_many_owners_have_none(house: House) -> None:
    page = house.signed_in(Role.OWNER).ask(house.app, "GET", f"{HOME}/system").text

    assert "Active owners who sign in with a password alone: 2" in page
