"""Lists: filters that work as one types and stay in the address, pages that are turned, files that are downloaded."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.browser.chromium import NARROW, Visitor
from tests.browser.town import Town

ROWS = "#list tbody tr"


@pytest.fixture
def listed(owner: Visitor, town: Town) -> Visitor:
    """Two users of the test's own are there besides the furnished one."""
    client = town.client()
    client.get("/admin/users/new")
    for name in ("Barbara", "Katherine"):
        client.post("/admin/users/new", name=f"{name} {uuid4().hex[:6]}", strategy="bedrock_only")
    owner.go("/admin/users")
    return owner


def await_path(visitor: Visitor, part: str) -> None:
    visitor.page.wait_for_function("(part) => (location.pathname + location.search).includes(part)", arg=part)


def test_a_search_refines_the_list_as_one_types_and_back_takes_it_back(listed: Visitor) -> None:
    page = listed.page
    before = page.locator(ROWS).count()
    page.locator("#search").press_sequentially("Barbara")
    await_path(listed, "search=Barbara")
    page.wait_for_function("(rows) => document.querySelectorAll(rows).length > 0", arg=ROWS)
    assert {"Barbara" in text for text in page.locator(f"{ROWS} th").all_inner_texts()} == {True}

    page.go_back(wait_until="load")

    assert listed.path == "/admin/users"
    page.wait_for_function("([rows, count]) => document.querySelectorAll(rows).length === count", arg=[ROWS, before])


def test_the_address_of_a_filtered_list_shows_the_same_to_somebody_else(listed: Visitor, visit: Any, town: Town) -> None:
    listed.page.select_option("#strategy", "bedrock_only")
    await_path(listed, "strategy=bedrock_only")
    shown = listed.page.locator(f"{ROWS} th").all_inner_texts()
    colleague = visit(town.url)
    town.enter(colleague)

    colleague.go(listed.path)

    assert colleague.page.locator(f"{ROWS} th").all_inner_texts() == shown
    assert colleague.page.input_value("#strategy") == "bedrock_only"


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [("/admin/requests", "provider", "bedrock"), ("/admin/keys", "status", "revoked"), ("/admin/audit", "action", "user")],
)
def test_each_list_is_filtered_without_loading_the_page_anew(owner: Visitor, path: str, field: str, value: str) -> None:
    owner.go(path)
    owner.page.evaluate("() => { window.sameDocument = true; }")
    owner.page.select_option(f"#{field}", value)
    await_path(owner, f"{field}={value}")

    assert owner.page.evaluate("() => window.sameDocument === true")


def test_a_filter_that_fits_nothing_says_so_and_leads_back(owner: Visitor) -> None:
    owner.go("/admin/users?search=nobody-is-called-this")
    assert "Nobody fits" in owner.text()

    owner.press("Show all users")

    assert owner.page.locator(ROWS).count() > 0


@pytest.mark.parametrize(("path", "column"), [("/admin/users", "name"), ("/admin/keys", "status")])
def test_a_list_is_downloaded_as_csv(listed: Visitor, tmp_path: Path, path: str, column: str) -> None:
    listed.go(path)
    with listed.page.expect_download() as downloading:
        listed.page.get_by_role("link", name="CSV", exact=True).click()
    saved = tmp_path / downloading.value.suggested_filename
    downloading.value.save_as(saved)

    rows = list(csv.DictReader(saved.read_text().splitlines()))

    assert saved.suffix == ".csv"
    assert len(rows) >= 1
    assert {bool(row[column]) for row in rows} == {True}


def test_times_are_the_readers_own_with_utc_on_hover(visit: Any, town: Town) -> None:
    visitor = visit(town.url, timezone_id="Asia/Tokyo", locale="en-GB")
    town.enter(visitor)
    visitor.go("/admin/audit")
    visitor.go("/admin/account")

    time = visitor.page.locator("td[data-label='Ends'] time").first

    said, title = time.inner_text(), str(time.get_attribute("title"))
    shown = visitor.page.evaluate("(text) => new Date(text + '+09:00').toISOString()", said)
    assert shown[:16].replace("T", " ") == title[:16]


# On a narrow screen


def test_the_menu_of_a_narrow_screen_opens_with_its_button_and_leads_on(visit: Any, town: Town) -> None:
    narrow = visit(town.url, viewport=NARROW)
    town.enter(narrow)
    narrow.go("/admin/users")
    link = narrow.page.get_by_role("link", name="Prices", exact=True)
    assert not link.is_visible()

    narrow.page.locator("label.menu-button").click()
    with narrow.page.expect_navigation():
        link.click()

    assert narrow.heading() == "Prices"


def test_the_menu_of_a_narrow_screen_opens_with_the_keyboard(visit: Any, town: Town) -> None:
    narrow = visit(town.url, viewport=NARROW)
    town.enter(narrow)
    narrow.go("/admin/users")

    narrow.page.locator("#menu").focus()
    narrow.page.keyboard.press("Space")

    assert narrow.page.get_by_role("link", name="Prices", exact=True).is_visible()


def test_a_table_becomes_cards_on_a_narrow_screen(visit: Any, town: Town) -> None:
    narrow = visit(town.url, viewport=NARROW)
    town.enter(narrow)
    narrow.go("/admin/users")
    label = "() => getComputedStyle(document.querySelector('#list td[data-label]'), '::before').content"

    assert narrow.page.evaluate("() => getComputedStyle(document.querySelector('#list tbody tr')).display") != "table-row"
    assert narrow.page.evaluate(label) == '"Strategy"'


# With the keyboard


def test_the_first_stop_of_the_keyboard_leads_past_the_menu(owner: Visitor) -> None:
    owner.go("/admin/users")
    owner.page.keyboard.press("Tab")
    assert owner.page.evaluate("() => document.activeElement.textContent") == "To the content"

    owner.page.keyboard.press("Enter")

    assert owner.page.evaluate("() => document.activeElement.id") == "main"
