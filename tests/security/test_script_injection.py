"""Texts that would like to run: typed into every field, put into every address, and looked at in a real browser.

In front of the browser's content policy the pages' own escaping has to hold: a breach that the policy stops is a failure, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser.chromium import Visitor
from tests.browser.town import Town, open_town
from tests.live.admin_browser import LiveBrowser
from tests.security.payloads import PAYLOADS

_FIELDS = re.compile(r'<(?:input|select|textarea)[^>]* name="(\w+)"')
# Past what the browser itself would refuse to send.
_TYPE = """([names, text]) => {
  for (const field of names.map((name) => document.querySelector(`main [name=${name}]`))) {
    if (!field || field.tagName === "SELECT") continue;
    field.removeAttribute("maxlength");
    if (field.tagName === "INPUT") field.type = "text";
    field.value = text;
  }
  document.querySelector("main form").noValidate = true;
}"""
BREAKING_OUT = "'\"></option></select></textarea></title><script>xss()</script><img src=/xss onerror=xss()>"
_LISTEN = "window.xss = () => console.error('executed');"
# What a form takes besides texts: without these it would be refused before its texts are kept.
_SOUND = {
    "strategy": "plan_first",
    "residency": "global",
    "region": "us-east-1",
    "input": "1",
    "output": "1",
    "secret": "bedrock-x",
}
_NOT_TEXTS = {
    "csrf_token",
    "expires_at",
    "since",
    "until",
    "monthly_budget_usd",
    "requests_per_minute",
    "grace_s",
    "status",
    "sort",
}


@pytest.fixture(scope="module")
def town(upstreams: Any) -> Iterator[Town]:
    """Where every text is a payload that a text can be."""
    with open_town(*upstreams, PROXY_MAX_USERS="1000", PROXY_MAX_KEYS_PER_USER="1000") as opened:
        opened.furnish()
        yield opened


def fields_of(page: str) -> list[str]:
    return sorted({name for name in _FIELDS.findall(page) if name not in _NOT_TEXTS})


def typed(client: LiveBrowser, path: str, payload: str) -> int:
    """One form with the payload in each of its texts; then again with sound values where it wants them."""
    names = fields_of(client.get(path).text)
    whole = {name: f"{payload.replace(' ', '/')}@x" if name == "email" else payload for name in names}
    refused = client.post(path, **whole).status
    client.get(path)
    sound = {name: value for name, value in _SOUND.items() if name in names}
    return min(refused, client.post(path, **{**whole, **sound, **_model(names)}).status)


def _model(names: list[str]) -> dict[str, str]:
    return {"model": "claude-x"} if "input" in names else {"access_key_id": ""} if "secret" in names else {}


def fill(town: Town) -> dict[str, int]:
    """Every form that takes texts, with every payload."""
    client, ids, statuses = town.client(), town.furnished.ids, {}
    forms = (
        "/admin/users/new",
        "/admin/users/{user_id}/keys/new",
        "/admin/users/{user_id}/links/new",
        "/admin/users/{user_id}/bedrock-keys/new",
        "/admin/prices/new",
        "/admin/models/new",
    )
    for number, payload in enumerate(PAYLOADS):
        for form in forms:
            statuses[f"{form} {number}"] = typed(client, form.format(**ids), payload)
    client.get("/admin/account")
    for payload in PAYLOADS[:15]:
        client.post("/admin/account/tokens", name=payload, role="viewer", days="7")
    return statuses


def running(visitor: Visitor) -> Visitor:
    visitor.page.context.add_init_script(_LISTEN)
    visitor.expected.update({400, 403, 404, 409, 413, 422})
    return visitor


def test_every_text_is_shown_as_text_on_every_page(town: Town, visit: Any) -> None:
    statuses = fill(town)
    visitor = running(visit(town.url))
    town.enter(visitor)
    pages = [each for each in town.pages if not each.path.endswith((".csv", ".json"))]
    paths = sorted({route.at(ids) for ids in town.all_ids()[:12] for route in pages})

    for path in paths:
        visitor.go(path)

    assert set(statuses.values()) <= {200, 303, 409, 422}
    assert list(statuses.values()).count(303) >= len(PAYLOADS)
    assert escape(PAYLOADS[9]) in town.client().get("/admin/users").text
    assert visitor.problems == []


def test_what_is_typed_wrong_is_sent_back_as_text(town: Town, visit: Any) -> None:
    visitor = running(visit(town.url))
    town.enter(visitor)
    for path in ("/admin/users/new", "/admin/prices/new", "/admin/models/new"):
        names = fields_of(visitor.go(path).content())
        visitor.page.evaluate(_TYPE, [names, BREAKING_OUT])
        with visitor.page.expect_navigation(wait_until="load"):
            visitor.page.locator("main form button[type=submit]").first.click()

    visitor.problems[:] = [each for each in visitor.problems if "cannot be parsed, or is out of range" not in each]  # of numbers
    assert visitor.problems == []


def test_no_address_brings_a_script_with_it(town: Town, visit: Any) -> None:
    """Each filter of each list, and each part of an address."""
    visitor = running(visit(town.url))
    town.enter(visitor)
    polyglot = quote(BREAKING_OUT, safe="")
    lists = {
        path: fields_of(visitor.go(path).content()) for path in ("/admin/users", "/admin/keys", "/admin/requests", "/admin/audit")
    }
    asked = [
        f"{path}?{name}={polyglot}"
        for path, names in lists.items()
        for name in [*names, "cursor", "notice", "user_id", "admin_id", "session_id"]
    ]
    parts = [route.at(dict.fromkeys(town.furnished.ids, polyglot)) for route in town.pages if route.path.count("{")]

    for path in [*asked, *parts, f"/admin/login?next={polyglot}", f"/claim/{polyglot}"]:
        visitor.go(path)

    assert len(asked) >= 20
    assert visitor.problems == []


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_in_an_address_is_never_repeated_as_it_is(town: Town, payload: str) -> None:
    client = town.client()
    sent = quote(payload, safe="")

    pages = [
        client.get(path).text
        for path in (
            f"/admin/users?search={sent}",
            f"/admin/audit?target={sent}",
            f"/admin/requests?session_id={sent}",
            f"/admin/requests?find={sent}",
            f"/admin/users/{sent}",
            f"/admin/models/new?model={sent}",
            f"/admin/login?next={sent}",
        )
    ]

    dangerous = payload if any(mark in payload for mark in "<\"'") else "\0"
    assert [page for page in pages if dangerous in page] == []
    assert not any("49" in page.partition("search")[2][:40] for page in pages if "7" in payload)


def test_the_listener_would_hear_a_script(town: Town, visit: Any) -> None:
    """Or silence would prove nothing."""
    visitor = running(visit(town.url))
    town.enter(visitor)
    visitor.go("/admin/users")

    with visitor.page.expect_console_message(lambda message: message.text.startswith("content policy:")):
        visitor.page.evaluate("() => { document.querySelector('main').innerHTML = '<img src=x onerror=xss()>'; }")
    heard, visitor.problems[:] = list(visitor.problems), []

    assert any("content policy" in problem or "Content Security Policy" in problem for problem in heard)
