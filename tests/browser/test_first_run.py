"""The first two minutes of an installation: from the sign-in to the first request (issue: first-run path)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import machine
from tests.browser.at_work import ask
from tests.browser.chromium import Visitor
from tests.browser.town import OWNER, PASSWORD, Town, open_town
from tests.live.admin_browser import eventually

BEDROCK_SECRET = "bedrock-Quokka8-first-run"


@pytest.fixture(scope="module")
def empty(upstreams: Any) -> Iterator[Town]:
    with open_town(*upstreams) as opened:
        yield opened
        assert opened.leaks() == []


def issued(visitor: Visitor, town: Town) -> str:
    """The base URL that the page with a new key shows, as a developer would copy it."""
    line = visitor.page.locator("pre[aria-label='The line for a terminal']").inner_text()
    base_url = line.removeprefix("export ANTHROPIC_BASE_URL=")
    town.remember("access key", base_url.rpartition("/ak/")[2])
    return base_url


def is_listed(visitor: Visitor, request_id: str) -> bool:
    """The list links to it, and the link leads there."""
    link = visitor.go("/admin/requests").locator(f"a[href$='{request_id}']")
    if link.count() == 0:
        return False
    with visitor.page.expect_navigation():
        link.first.click()
    return request_id in visitor.text()


def left(visitor: Visitor) -> int:
    """How many of the first steps the dashboard says are still to do; 0 only where it says nothing of steps any more."""
    steps = visitor.go("/admin").locator(".steps")
    to_do = steps.locator("li:not(.done, .advised)").count()
    return to_do if to_do else steps.count()


def test_from_signing_in_to_the_first_request_within_two_minutes(visit: Any, empty: Town) -> None:
    began, visitor = machine.now(), visit(empty.url)
    visitor.sign_in(OWNER, PASSWORD)
    assert left(visitor) == 4
    visitor.press("Add the first user")
    visitor.fill(name="Grace Example", email="grace@example.com")
    visitor.press("Add the user")
    assert left(visitor) == 3
    visitor.press("Issue their access key")
    visitor.press("Issue the key")
    base_url = issued(visitor, empty)
    assert left(visitor) == 2
    assert base_url.rpartition("/ak/")[2] not in visitor.page.content()
    visitor.press("Attach a Bedrock key")
    visitor.fill(secret=empty.remember("Bedrock key", BEDROCK_SECRET))
    visitor.press("Attach and test")
    assert "AWS takes it" in visitor.text()
    assert left(visitor) == 1

    answered = ask(base_url)

    assert (answered.status, answered.provider) == (200, "plan")
    assert eventually(lambda: left(visitor) == 0)
    assert eventually(lambda: is_listed(visitor, answered.request_id))
    assert "Grace Example" in visitor.text()
    assert machine.now().since(began) < 120


def test_a_key_that_was_shown_is_not_shown_again_by_going_back(visit: Any, empty: Town) -> None:
    visitor = visit(empty.url)
    empty.enter(visitor)
    visitor.go("/admin/users/new")
    visitor.fill(name="Hedy Example")
    visitor.press("Add the user")
    visitor.press("Issue a key")
    visitor.press("Issue the key")
    access_key = issued(visitor, empty).rpartition("/ak/")[2]
    visitor.press("Done: to the key")

    visitor.page.goto(visitor.page.url)

    assert access_key not in visitor.page.content()
    assert access_key[:9] in visitor.page.content()
