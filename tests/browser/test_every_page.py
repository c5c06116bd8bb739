"""What holds for every page, taken from the app's own route table: accessible, light and dark, wide and narrow, quiet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from core.actor import Role
from core.pages import Pages
from core.version import VERSION
from tests.browser.axe import Axe
from tests.browser.chromium import NARROW, Visitor
from tests.browser.town import Town

COLOURS = ("color-contrast", "link-in-text-block")
_TOO_WIDE = """() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"""
_OVER_ITS_CELL = """() => [...document.querySelectorAll('main td, main tbody th')]
    .filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.textContent.trim())"""
_DOWNLOADS = (".csv", ".json")


def paths(town: Town) -> list[str]:
    """Of each page that is one: not of files to download, and not of what sends elsewhere at once."""
    return [route.at(town.furnished.ids) for route in town.pages if not route.path.endswith(_DOWNLOADS)]


def violations(axe: Axe, page: Page) -> dict[str, list[str]]:
    """In light and in dark, of one page as it is loaded. Between the two nothing differs but colours, as a test below shows: no
    other rule could find anything that it did not find in light."""
    page.emulate_media(color_scheme="light")
    found = {"light": axe.violations(page)}
    page.emulate_media(color_scheme="dark")
    found["dark"] = axe.violations(page, *COLOURS)
    return {scheme: lines for scheme, lines in found.items() if lines}


def look(visitor: Visitor, path: str, seen: Any) -> Any:
    """What `seen(page)` finds at the address; what is no page finds nothing, and says so."""
    answer = visitor.page.goto(visitor.base + path, wait_until="load")
    assert answer is not None and answer.status == 200, (path, answer and answer.status)
    return seen(visitor.page)


def test_there_are_as_many_pages_as_there_should_be(town: Town) -> None:
    """Or what follows would be about nothing."""
    assert len(paths(town)) >= 30


def test_axe_finds_nothing_serious_on_any_page_in_light_and_dark(owner: Visitor, town: Town, axe: Axe) -> None:
    found = {path: look(owner, path, lambda page: violations(axe, page)) for path in paths(town)}

    assert {path: lines for path, lines in found.items() if lines} == {}


# A developer's own pages, what is not there, and what was refused.
ELSEWHERE = ("/ak/{key}/status", "/ak/{key}/status?session={session_id}", "/ak/{key}/status?session=unknown")
OF_NOBODY = ("/admin/login", "/claim/{token}", "/claim/unknown", "/claim/unknown/style.css")
REFUSED = ("/admin/none", "/admin/users/none", "/admin/keys/none/edit", "/admin/requests/none", "/admin/sessions/none")


@pytest.mark.parametrize("path", REFUSED)
def test_axe_finds_nothing_serious_on_what_says_that_there_is_nothing(owner: Visitor, axe: Axe, path: str) -> None:
    owner.expected.add(404)
    owner.go(path)

    assert (owner.statuses[0][1], violations(axe, owner.page)) == (404, {})


def test_axe_finds_nothing_serious_where_the_role_does_not_reach(visit: Any, town: Town, axe: Axe) -> None:
    viewer = visit(town.url)
    viewer.expected.add(403)
    town.enter(viewer, town.add_admin(Role.VIEWER).id)
    found = {}
    for path in (
        "/admin",
        "/admin/admins",
        "/admin/users/new",
        f"/admin/users/{town.furnished.ids['user_id']}",
        "/admin/account",
    ):
        viewer.go(path)
        found[path] = violations(axe, viewer.page)

    assert {path: lines for path, lines in found.items() if lines} == {}


def test_axe_finds_nothing_serious_while_the_database_is_away(owner: Visitor, axe: Axe) -> None:
    """The page as every refusal is written, with the status that no page of this town has."""
    owner.expected.add(503)
    words = {"status": "503", "title": "Not now", "text": "The database is away. Please try again in a moment."}
    page = Pages(VERSION).render("message.html", home="/admin", **words)
    owner.page.route("**/admin/users", lambda route: route.fulfill(status=503, content_type="text/html", body=page))
    owner.go("/admin/users")

    assert ("The database is away" in owner.page.content(), violations(axe, owner.page)) == (True, {})


@pytest.mark.parametrize("path", ELSEWHERE)
def test_axe_finds_nothing_serious_on_a_developers_own_pages(visit: Any, town: Town, axe: Axe, path: str) -> None:
    visitor = visit(town.url)
    visitor.expected.add(404)
    visitor.go(path.format(key=town.furnished.secrets["access key"], **town.furnished.ids))

    assert ("<h1" in visitor.page.content(), violations(axe, visitor.page)) == (True, {})


def test_in_dark_nothing_differs_but_colours() -> None:
    """What axe is asked for in both schemes follows from this: every declaration for dark gives a custom property a colour."""
    folder = Path(__file__).resolve().parents[2] / "templates"
    sources = {path.name: path.read_text() for path in sorted(folder.rglob("*.*")) if path.parent.name != "__pycache__"}
    dark = re.findall(r"@media \(prefers-color-scheme: dark\) \{(.*?)\n\}", sources["style.css"], re.S)
    declared = [each.strip() for block in dark for each in re.findall(r"[{;]\s*([^{};]+:[^{};]+)(?=;)", block)]

    assert len(dark) == sources["style.css"].count("prefers-color-scheme")
    assert len(declared) > 20
    assert [each for each in declared if not re.fullmatch(r"--[\w-]+: (#[0-9a-f]{3,8}|rgba?\([^)]*\))", each)] == []
    assert [name for name, text in sources.items() if name != "style.css" and "prefers-color-scheme" in text] == []


@pytest.mark.parametrize("path", OF_NOBODY)
def test_axe_finds_nothing_serious_where_nobody_is_signed_in(visit: Any, town: Town, axe: Axe, path: str) -> None:
    visitor = visit(town.url)
    visitor.expected.add(404)
    visitor.go(path.format(**town.furnished.ids))

    assert violations(axe, visitor.page) == {}


def test_no_page_is_wider_than_a_narrow_screen(visit: Any, town: Town) -> None:
    narrow = visit(town.url, viewport=NARROW, is_mobile=True, has_touch=True)
    town.enter(narrow)

    wider = {path: look(narrow, path, lambda page: page.evaluate(_TOO_WIDE)) for path in paths(town)}

    assert {path: pixels for path, pixels in wider.items() if pixels > 0} == {}


def set_budget(visitor: Visitor, town: Town, dollars: str) -> None:
    visitor.go(f"/admin/users/{town.furnished.ids['user_id']}/edit")
    visitor.page.fill("#monthly_budget_usd", dollars)
    visitor.press("Save")


def test_in_the_audit_log_no_words_run_over_into_the_next_column(owner: Visitor, town: Town) -> None:
    set_budget(owner, town, "1234.50")
    set_budget(owner, town, "99.00")
    owner.go("/admin/audit?action=user")

    assert "1234.5" in owner.page.inner_text("main table")
    assert owner.page.evaluate(_OVER_ITS_CELL) == []


def test_every_page_has_one_heading_a_title_and_a_language(owner: Visitor, town: Town) -> None:
    asked = "() => [document.querySelectorAll('h1').length, document.title.trim() !== '', document.documentElement.lang !== '']"

    seen = {path: look(owner, path, lambda page: page.evaluate(asked)) for path in paths(town)}

    assert {path: found for path, found in seen.items() if found != [1, True, True]} == {}


def test_the_check_itself_finds_what_is_wrong(owner: Visitor, axe: Axe) -> None:
    owner.go("/admin/users")
    owner.page.evaluate("() => { const image = new Image(); image.src = '/admin/icon.svg'; document.body.append(image); }")

    assert any("image-alt" in line for line in axe.violations(owner.page))
