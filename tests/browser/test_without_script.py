"""The whole of it with JavaScript off: a user, a key, a filter, a change that asks first."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.browser.at_work import ask
from tests.browser.chromium import Visitor
from tests.browser.test_first_run import issued
from tests.browser.town import OWNER, PASSWORD, Town
from tests.live.admin_browser import eventually


def visitor_without(visit: Any, town: Town) -> Visitor:
    visitor: Visitor = visit(town.url, java_script_enabled=False)
    visitor.sign_in(OWNER, PASSWORD)
    return visitor


def test_a_user_and_a_key_are_made_and_cut_off(visit: Any, town: Town) -> None:
    visitor, name = visitor_without(visit, town), f"Annie {uuid4().hex[:6]}"
    visitor.press("Users")
    visitor.press("Add a user")
    visitor.fill(name=name)
    visitor.press("Add the user")
    visitor.press("Issue a key")
    visitor.press("Issue the key")
    base_url = issued(visitor, town)
    assert eventually(lambda: ask(base_url).status == 200)

    visitor.press("To the user")
    visitor.press("Deactivate")
    visitor.press("Deactivate")

    assert "The user is inactive" in visitor.text()
    assert eventually(lambda: ask(base_url).status == 403)


def test_a_filter_is_applied_with_its_button_and_stays_in_the_address(visit: Any, town: Town) -> None:
    visitor = visitor_without(visit, town)
    visitor.go("/admin/users")
    visitor.page.fill("#search", "Ada Example")  # "ada" alone may be in the hex of somebody else's name
    visitor.press("Apply")

    assert "search=Ada+Example" in visitor.path
    assert {"Ada Example" in text for text in visitor.page.locator("#list tbody th").all_inner_texts()} == {True}


def test_a_bedrock_key_is_tested_by_its_button(visit: Any, town: Town) -> None:
    town.bedrock.reset()
    visitor = visitor_without(visit, town)
    visitor.go(f"/admin/users/{town.furnished.ids['user_id']}")

    visitor.press("Test now")

    assert "AWS takes it" in visitor.text()


def test_times_say_that_they_are_utc_and_nothing_waits_for_a_script(visit: Any, town: Town) -> None:
    visitor = visitor_without(visit, town)
    visitor.go("/admin/account")

    assert "UTC" in visitor.page.locator("td[data-label='Ends'] time").first.inner_text()
    assert visitor.page.locator("button[data-copy]:visible").count() == 0


def test_signing_out_is_a_form(visit: Any, town: Town) -> None:
    visitor = visitor_without(visit, town)

    visitor.press("Sign out")

    assert visitor.heading() == "Sign in"
