"""What happens while a page is open: parts are polled, sessions end, servers stop answering, hands press twice and go back."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import Visitor
from tests.browser.town import Town

CIRCUITS = "/admin/circuits"


@pytest.fixture
def circuits(owner: Visitor) -> Page:
    """A page of which a part is polled every three seconds."""
    return owner.go(CIRCUITS)


def polled(page: Page) -> None:
    """The part was asked for and put in once more."""
    page.evaluate("() => { document.querySelector('#live').firstElementChild.dataset.before = 'yes'; }")
    page.wait_for_function("() => !document.querySelector('#live [data-before]')")


def press_twice(page: Page, words: str) -> None:
    """So quickly that the first answer cannot be there yet, and so slowly that it was asked for."""
    twice = "(button) => { button.click(); setTimeout(() => button.click(), 5); }"
    page.get_by_role("button", name=words).evaluate(twice)


def test_a_session_that_ends_meanwhile_leads_to_the_sign_in_and_back(owner: Visitor, circuits: Page) -> None:
    circuits.context.clear_cookies()
    circuits.wait_for_url("**/admin/login**")

    assert owner.path == "/admin/login?next=%2Fadmin%2Fcircuits"
    assert (owner.heading(), circuits.locator("nav").count()) == ("Sign in", 0)


def test_a_page_says_that_it_is_old_until_the_server_answers_again(owner: Visitor, circuits: Page) -> None:
    owner.expected.add(503)
    circuits.route(f"**{CIRCUITS}", lambda route: route.fulfill(status=503, body="away"))
    circuits.wait_for_function("() => document.querySelector('#old').textContent.startsWith('Not up to date')")

    circuits.unroute(f"**{CIRCUITS}")

    circuits.wait_for_function("() => document.querySelector('#old').textContent === ''")


def test_who_is_at_a_link_with_the_keyboard_is_still_there_after_a_poll(circuits: Page) -> None:
    circuits.locator("#live a").last.focus()
    before = circuits.evaluate("() => document.activeElement.getAttribute('href')")

    polled(circuits)

    assert before is not None
    assert circuits.evaluate("() => document.activeElement.getAttribute('href')") == before


def test_what_somebody_marks_is_not_taken_from_under_their_hands(circuits: Page) -> None:
    circuits.evaluate("() => getSelection().selectAllChildren(document.querySelector('#live code'))")
    marked = circuits.evaluate("() => getSelection().toString()")
    with circuits.expect_response(lambda answer: answer.url.endswith(CIRCUITS)):
        pass
    circuits.wait_for_timeout(200)

    assert (marked != "", circuits.evaluate("() => getSelection().toString()")) == (True, marked)


def test_a_form_that_is_pressed_twice_is_sent_once(owner: Visitor, town: Town) -> None:
    name = f"twice {uuid4().hex[:6]}"
    owner.go(f"/admin/users/{town.furnished.ids['user_id']}/keys/new")
    owner.fill(name=name)
    with owner.page.expect_navigation(wait_until="load"):
        press_twice(owner.page, "Issue the key")
    owner.page.wait_for_load_state()

    assert "Copy it now" in owner.text()
    town.remember("pressed twice", owner.page.locator("pre").first.inner_text().rpartition("/ak/")[2])
    owner.go(f"/admin/keys?search={name}")
    assert owner.page.locator("#list tbody tr").count() == 1


def test_who_goes_back_after_sending_a_form_can_send_it_again(owner: Visitor, town: Town) -> None:
    owner.go("/admin/users/new")
    owner.fill(name=f"once {uuid4().hex[:6]}")
    owner.press("Add the user")
    owner.page.go_back(wait_until="load")
    second = f"again {uuid4().hex[:6]}"
    owner.fill(name=second)

    owner.press("Add the user")

    assert owner.heading() == second


def test_what_was_done_is_the_first_thing_that_is_read_out(owner: Visitor, town: Town) -> None:
    owner.go("/admin/users/new")
    owner.fill(name=f"read out {uuid4().hex[:6]}")
    owner.press("Add the user")

    assert owner.page.evaluate("() => document.activeElement.getAttribute('role')") == "status"
