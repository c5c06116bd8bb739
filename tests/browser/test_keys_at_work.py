"""Keys, Bedrock keys, budgets and circuits, changed in the browser while a developer works with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route

from tests.browser.at_work import ask
from tests.browser.axe import Axe
from tests.browser.chromium import Visitor
from tests.browser.test_every_page import violations
from tests.browser.test_first_run import issued
from tests.browser.town import Town
from tests.live.admin_browser import eventually

CIRCUIT = "/admin/circuits"


@dataclass
class Somebody:
    """A user of the test's own, with a key that was issued in the browser."""

    visitor: Visitor
    town: Town
    user_page: str
    base_url: str

    @property
    def key_page(self) -> str:
        prefix = self.base_url.rpartition("/ak/")[2][:9]
        self.visitor.go(self.user_page)
        return str(self.visitor.page.locator(f"a:has-text('{prefix}')").first.get_attribute("href"))

    def attach(self, secret: str) -> None:
        self.visitor.go(f"{self.user_page}/bedrock-keys/new")
        self.visitor.fill(secret=self.town.remember("Bedrock key", secret))
        self.visitor.press("Attach and test")


@pytest.fixture
def somebody(owner: Visitor, town: Town) -> Somebody:
    town.anthropic.reset()
    town.bedrock.reset()
    owner.go("/admin/users/new")
    owner.fill(name=f"Somebody {uuid4().hex[:8]}")
    owner.press("Add the user")
    user_page = owner.path.partition("?")[0]
    owner.press("Issue a key")
    owner.press("Issue the key")
    return Somebody(owner, town, user_page, issued(owner, town))


def test_the_page_with_a_new_key_is_accessible_too(somebody: Somebody, axe: Axe) -> None:
    assert violations(axe, somebody.visitor.page) == {}


def test_a_new_key_is_copied_with_one_click(somebody: Somebody) -> None:
    visitor = somebody.visitor
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    visitor.page.locator("button[data-copy]").first.click()

    visitor.page.wait_for_function("() => document.querySelector('button[data-copy]').textContent === 'Copied'")
    assert visitor.page.evaluate("() => navigator.clipboard.readText()") == f"export ANTHROPIC_BASE_URL={somebody.base_url}"


def test_a_key_is_issued_changed_rotated_and_revoked(somebody: Somebody) -> None:
    visitor, old = somebody.visitor, somebody.base_url
    page = somebody.key_page
    assert ask(old).status == 200

    visitor.go(f"{page}/edit")
    visitor.fill(name="the new laptop", requests_per_minute="500")
    visitor.press("Save")
    assert "the new laptop" in visitor.page.content()

    visitor.go(f"{page}/rotate")
    visitor.page.select_option("[name=grace_s]", "0")
    visitor.press("Make a new text")
    new = issued(visitor, somebody.town)
    assert eventually(lambda: ask(old).status == 403)
    assert ask(new).status == 200

    visitor.go(f"{page}/revoke")
    assert "cannot be undone" in visitor.text()
    visitor.press("Revoke for good")
    assert "The key is revoked" in visitor.text()
    assert eventually(lambda: ask(new).status == 403)


def test_a_bedrock_key_that_aws_takes_serves_when_the_plan_cannot(somebody: Somebody) -> None:
    somebody.attach("bedrock-Quokka8-taken")
    assert "AWS takes it" in somebody.visitor.text()
    somebody.town.anthropic.fault("overloaded")

    assert eventually(lambda: ask(somebody.base_url).provider == "bedrock")


def test_a_bedrock_key_that_aws_refuses_says_why_and_can_be_tested_again(somebody: Somebody) -> None:
    visitor = somebody.visitor
    somebody.attach("bad-Quokka8-refused")
    assert "AWS refuses the Bedrock key" in visitor.text()
    assert "unhealthy" in visitor.page.locator("#bedrock").inner_text()
    assert "bad-Quokka8-refused" not in visitor.page.content()

    visitor.page.get_by_role("button", name="Test now").click()

    visitor.page.wait_for_function("() => document.querySelector('#bedrock').innerText.includes('AWS refuses')")
    assert "API Key" in visitor.page.locator("#bedrock .reason").inner_text()


def test_a_budget_that_is_set_holds(somebody: Somebody) -> None:
    visitor = somebody.visitor
    somebody.attach("bedrock-Quokka8-budget")
    visitor.go(f"{somebody.user_page}/edit")
    visitor.fill(monthly_budget_usd="0.000001")
    visitor.page.select_option("[name=strategy]", "bedrock_only")
    visitor.press("Save")
    assert "of $0" in visitor.text()

    assert eventually(lambda: ask(somebody.base_url).status in (402, 403, 429))
    visitor.go(f"{somebody.user_page}/edit")
    visitor.fill(monthly_budget_usd="250")
    visitor.press("Save")
    assert "of $250" in visitor.text()
    assert eventually(lambda: ask(somebody.base_url).status == 200)


def test_a_budget_that_is_no_amount_is_explained_beside_its_field(somebody: Somebody) -> None:
    visitor = somebody.visitor
    visitor.expected.add(422)
    visitor.go(f"{somebody.user_page}/edit")
    visitor.fill(monthly_budget_usd="much", note="is kept")
    visitor.press("Save")

    assert visitor.page.locator("[name=monthly_budget_usd]").get_attribute("aria-invalid") == "true"
    assert visitor.page.input_value("[name=note]") == "is kept"


def test_an_open_circuit_is_seen_live_and_closed(somebody: Somebody) -> None:
    visitor, anthropic = somebody.visitor, somebody.town.anthropic
    somebody.attach("bedrock-Quokka8-circuit")
    visitor.go(CIRCUIT)
    anthropic.fault("plan_exhausted", reset=3600)
    assert ask(somebody.base_url).provider == "bedrock"
    prefix = somebody.base_url.rpartition("/ak/")[2][:9]
    row = visitor.page.locator(f"#live tr:has-text('{prefix}')")
    row.wait_for()  # the page asks by itself

    anthropic.clear_faults()
    with visitor.page.expect_navigation():
        row.get_by_role("link", name="Close").click()
    assert "asked again with the next request" in visitor.text()
    visitor.press("Close the circuit")

    assert "The circuit is closed" in visitor.text()
    assert eventually(lambda: ask(somebody.base_url).provider == "plan")


def test_all_requests_of_a_user_are_one_click_away_and_theirs_alone(owner: Visitor, town: Town) -> None:
    owner.go(f"/admin/users/{town.furnished.ids['user_id']}")
    owner.press("All requests")

    assert town.furnished.ids["user_id"] in owner.path
    assert f"Only user {town.furnished.ids['user_id']}" in owner.text()


def press_and_lose_the_answer(page: Page) -> None:
    """As by a second click before the first answer is there: the server did what was asked, and the page is still the same."""
    answers = []

    def lose(route: Route) -> None:
        answers.append(route.fetch().status)
        route.abort("aborted")

    page.route(page.url, lose, times=1)
    with page.expect_event("requestfailed"):
        page.get_by_role("button").first.click()
    assert answers == [200]


def test_a_link_gives_its_key_once_and_again_to_who_loads_that_page_anew(somebody: Somebody, visit: Any) -> None:
    somebody.visitor.go(f"{somebody.user_page}/links/new")
    somebody.visitor.press("Make the link")
    url = somebody.visitor.page.locator("pre[aria-label='The one-time link']").inner_text()
    somebody.town.remember("one-time link", url.rpartition("/")[2])
    developer = visit(somebody.town.url)
    developer.expected.add(404)

    developer.page.goto(url)
    press_and_lose_the_answer(developer.page)
    developer.press("Show my key")
    shown = developer.page.inner_text("body")
    developer.page.reload()
    assert developer.page.inner_text("body") == shown

    base_url = next(word for word in shown.split() if "/ak/ak_" in word).rpartition("=")[2]
    somebody.town.remember("access key", base_url.rpartition("/ak/")[2])
    assert eventually(lambda: ask(base_url).status == 200)
    again = developer.page.goto(url)
    assert again is not None and again.status == 404
