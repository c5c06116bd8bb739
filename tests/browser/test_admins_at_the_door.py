"""Admins in the browser: a second factor set up and used, and what each role sees and may do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest

from core.actor import Role
from tests.browser.axe import Axe
from tests.browser.chromium import Visitor
from tests.browser.test_every_page import violations
from tests.browser.town import PASSWORD, Town

_CODES = re.compile(r"[a-z2-7]{6}(?:-[a-z2-7]{6}){3}")
CHANGING = "main form[method=post], main a[href$='/new'], main a[href$='/edit'], main a[href$='/delete'], main a.danger"


def code(secret: str, steps: int = 0) -> str:
    """Each code is good once: the next sign-in takes that of the next step."""
    return pyotp.TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=30 * steps))


def enrol(visitor: Visitor, town: Town) -> tuple[str, list[str]]:
    """As a person does who types the key; the secret and the recovery codes."""
    visitor.go("/admin/account")
    visitor.press("Set it up")
    shown = visitor.page.locator("p:has-text('type this key') code").inner_text()
    secret = town.remember("TOTP secret", shown.replace(" ", ""))
    visitor.page.fill("#totp", code(secret))
    visitor.press("Turn it on")
    codes = _CODES.findall(visitor.page.content())
    for each in codes:
        town.remember("recovery code", each)
    return secret, codes


def test_a_second_factor_is_set_up_and_then_demanded(visit: Any, town: Town, axe: Axe) -> None:
    admin, first, second = town.add_admin(Role.EDITOR), visit(town.url), visit(town.url)
    second.expected.add(401)
    first.sign_in(admin.username, PASSWORD)
    secret, codes = enrol(first, town)
    assert (first.heading(), len(codes)) == ("Your recovery codes", 10)
    assert violations(axe, first.page) == {}

    second.sign_in(admin.username, PASSWORD)
    assert "User name, password or code is wrong" in second.text()
    second.sign_in(admin.username, PASSWORD, code(secret, 1))

    assert "/admin/login" not in second.path
    assert admin.username in second.page.content()


def test_a_recovery_code_lets_in_once(visit: Any, town: Town) -> None:
    admin, first, second, third = town.add_admin(Role.VIEWER), visit(town.url), visit(town.url), visit(town.url)
    third.expected.add(401)
    first.sign_in(admin.username, PASSWORD)
    _, codes = enrol(first, town)

    second.sign_in(admin.username, PASSWORD, codes[0])
    third.sign_in(admin.username, PASSWORD, codes[0])

    assert ("/admin/login" in second.path, "/admin/login" in third.path) == (False, True)


def test_the_page_that_sets_a_second_factor_up_is_accessible(visit: Any, town: Town, axe: Axe) -> None:
    visitor = visit(town.url)
    town.enter(visitor, town.add_admin(Role.VIEWER).id)
    visitor.go("/admin/account/totp")

    assert visitor.heading() == "Set up a second factor"
    assert violations(axe, visitor.page) == {}


def test_a_viewer_sees_no_way_to_change_anything(visit: Any, town: Town) -> None:
    visitor = visit(town.url)
    visitor.expected.add(403)
    town.enter(visitor, town.add_admin(Role.VIEWER).id)
    readable = [
        each.at(town.furnished.ids) for each in town.pages if not each.changes and not each.path.endswith((".csv", ".json"))
    ]

    ways = {
        path: visitor.go(path).locator(CHANGING).evaluate_all("(all) => all.map((each) => each.outerHTML.slice(0, 200))")
        for path in readable
    }
    own = {path for path in ways if path.startswith("/admin/account")}

    assert {path: found for path, found in ways.items() if found and path not in own} == {}
    assert len(ways) >= 9


@pytest.mark.parametrize("path", ["/admin/users/new", "/admin/users/{user_id}/edit", "/admin/keys/{key_id}/revoke"])
def test_a_viewer_who_knows_the_address_is_refused_in_words(visit: Any, town: Town, path: str) -> None:
    visitor = visit(town.url)
    visitor.expected.add(403)
    town.enter(visitor, town.add_admin(Role.VIEWER).id)

    answer = visitor.page.goto(town.url + path.format(**town.furnished.ids))

    assert answer is not None and answer.status == 403
    assert "Not with this role" in visitor.page.inner_text("body")


def test_an_editor_sees_what_a_viewer_does_not(visit: Any, town: Town) -> None:
    visitor = visit(town.url)
    town.enter(visitor, town.add_admin(Role.EDITOR).id)

    visitor.go("/admin/users")

    assert visitor.page.get_by_role("link", name="Add a user", exact=True).is_visible()
    assert visitor.page.get_by_role("link", name="Admins", exact=True).count() == 0


def test_an_api_token_is_shown_once(visit: Any, town: Town) -> None:
    admin, visitor = town.add_admin(Role.EDITOR), visit(town.url)
    visitor.sign_in(admin.username, PASSWORD)
    visitor.go("/admin/account")
    visitor.page.fill("#name", "a script")
    visitor.press("Make a token")
    shown = town.remember("API token", visitor.page.locator("pre[aria-label='Your new API token']").inner_text().strip())

    assert shown.startswith("cpt_")
    assert shown not in visitor.go("/admin/account").content()


def test_a_password_that_was_typed_is_not_sent_back(visit: Any, town: Town) -> None:
    visitor, typed = visit(town.url), town.remember("password typed wrong", "Quokka8 typed by mistake")
    visitor.expected.add(401)

    visitor.sign_in("somebody", typed)

    assert typed not in visitor.page.content()
    assert "User name, password or code is wrong" in visitor.text()
