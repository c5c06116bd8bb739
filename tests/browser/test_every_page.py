"""What holds for every page, taken from the app's own route table: accessible, light and dark, wide and narrow, quiet."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.axe import Axe
from tests.browser.chromium import NARROW, Visitor
from tests.browser.town import Town

COLOURS = ("color-contrast", "link-in-text-block")
_TOO_WIDE = """() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"""
_DOWNLOADS = (".csv", ".json")


def paths(town: Town) -> list[str]:
    """Of each page that is one: not of files to download, and not of what sends elsewhere at once."""
    return [route.at(town.furnished.ids) for route in town.pages if not route.path.endswith(_DOWNLOADS)]


def violations(axe: Axe, page: Page) -> dict[str, list[str]]:
    """In light and in dark, of one page as it is loaded. Between the two nothing differs but colours."""
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


@pytest.mark.parametrize("path", ["/admin/login", "/claim/{token}", "/claim/unknown"])
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


def test_every_page_has_one_heading_a_title_and_a_language(owner: Visitor, town: Town) -> None:
    asked = "() => [document.querySelectorAll('h1').length, document.title.trim() !== '', document.documentElement.lang !== '']"

    seen = {path: look(owner, path, lambda page: page.evaluate(asked)) for path in paths(town)}

    assert {path: found for path, found in seen.items() if found != [1, True, True]} == {}


def test_the_check_itself_finds_what_is_wrong(owner: Visitor, axe: Axe) -> None:
    owner.go("/admin/users")
    owner.page.evaluate("() => { const image = new Image(); image.src = '/admin/icon.svg'; document.body.append(image); }")

    assert any("image-alt" in line for line in axe.violations(owner.page))
