"""A link in a developer's browser: looked at as often as one likes, used once (SPEC section 8)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import Result

from admin_app.app import AdminApp
from core.access_keys import IssuedKey, KeyOptions, list_keys
from core.claims import GOOD_FOR, open_claim
from core.crypto import is_wellformed
from core.db import Database, open_database
from core.local_files import LocalSecrets
from core.settings import Settings
from core.users import deactivate_user
from tests.admin_app.browser import Browser
from tests.admin_app.page_world import World
from tests.core.office import NOW, SERVER_SECRET, Office

_KEY = re.compile(r"ak_[0-9A-Za-z]{44}")


class Site:
    """The pages, a user who is to get a key, and a browser of somebody from anywhere."""

    def __init__(self, world: World, database: Database, **changes: Any) -> None:
        self.world = world
        self.office = Office(database)
        self.user = self.office.add("ann")
        self.changes = changes
        self.opened: list[AdminApp] = []

    def browser(self, database_url: str = "", **changes: Any) -> Browser:
        given = {"database_url": database_url or self.changes["database_url"], "public_url": "https://proxy.example.com"}
        settings = Settings(**{**given, **changes})
        secrets = LocalSecrets(SERVER_SECRET, "a signing secret for tests, not for use", "")
        self.opened.append(AdminApp(settings, secrets, open_database(settings, pool_size=1), self.world.around()))
        return Browser(self.opened[-1])

    def link(self, options: KeyOptions | None = None) -> str:
        database = self.office.database
        return database.run(lambda c: open_claim(c, self.user, options or KeyOptions(), SERVER_SECRET, NOW)).token

    def issued(self) -> list[Any]:
        return self.office.database.read(list_keys)


@pytest.fixture
def site(sqlite_template: Path, tmp_path: Path) -> Iterator[Site]:
    copy = tmp_path / "pages.sqlite"
    copy.write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{copy}"
    database = open_database(Settings(database_url=url), pool_size=1)
    made = Site(World(tmp_path / "log"), database, database_url=url)
    yield made
    for app in made.opened:
        app.close()
    database.close()


def key_in(answer: Result) -> str:
    found = _KEY.search(answer.text)
    return found[0] if found else ""


def press_in(page: Result) -> str:
    return page.text.partition('name="press" value="')[2].partition('"')[0]


def test_looking_shows_a_button_and_makes_nothing(site: Site) -> None:
    browser, path = site.browser(), f"/claim/{site.link()}"
    answers = [browser.get(path) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert '<form method="post">' in answers[0].text
    assert (key_in(answers[0]), site.issued()) == ("", [])


def test_the_button_makes_the_key_and_shows_it_with_what_to_do(site: Site) -> None:
    answer = site.browser().post(f"/claim/{site.link(KeyOptions(name='laptop'))}")

    [key], shown = site.issued(), key_in(answer)
    assert (answer.status_code, is_wellformed(shown), key.options.name, key.user_id) == (200, True, "laptop", site.user.id)
    assert f"export ANTHROPIC_BASE_URL=https://proxy.example.com/ak/{shown}" in answer.text
    settings = {"env": {"ANTHROPIC_BASE_URL": f"https://proxy.example.com/ak/{shown}"}}
    assert json.dumps(settings, indent=2).replace('"', "&#34;") in answer.text
    assert site.office.grant(IssuedKey(key.id, shown)) is not None


def test_the_key_is_shown_once(site: Site) -> None:
    browser, path = site.browser(), f"/claim/{site.link()}"
    browser.post(path)
    again, looked = browser.post(path), browser.get(path)

    assert (again.status_code, looked.status_code) == (404, 404)
    assert (key_in(again), len(site.issued())) == ("", 1)


def test_a_button_that_is_pressed_twice_shows_its_key_twice_and_makes_one(site: Site) -> None:
    browser, path = site.browser(), f"/claim/{site.link()}"
    mine, of_another_page = (press_in(browser.get(path)) for _ in range(2))
    first, second, stranger = (browser.post(path, press=press) for press in (mine, mine, of_another_page))

    assert (first.status_code, key_in(first) != "", key_in(second), len(site.issued())) == (200, True, key_in(first), 1)
    assert (stranger.status_code, key_in(stranger)) == (404, "")
    assert site.office.grant(IssuedKey(site.issued()[0].id, key_in(second))) is not None


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_used_expired_unknown_malformed_and_cut_off_look_all_the_same(site: Site, method: str) -> None:
    browser, used, old, cut = site.browser(), site.link(), site.link(), site.link()
    browser.post(f"/claim/{used}")
    before = [browser.send(method, f"/claim/{token}") for token in (used, "x" * 22, "x", cut + "%0a", "é")]
    site.office.database.run(lambda c: deactivate_user(c, site.user.id, NOW))
    before.append(browser.send(method, f"/claim/{cut}"))
    site.world.now = (NOW + GOOD_FOR).timestamp()
    answers = [*before, browser.send(method, f"/claim/{old}")]

    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    assert "This link has ended" in answers[0].text
    assert len(site.issued()) == 1


def test_it_is_open_to_addresses_that_the_admin_is_closed_to(site: Site) -> None:
    browser = site.browser(admin_allowed_cidrs=(ip_network("10.0.0.0/8"),))
    paths = ["/claim/style.css", "/claim/icon.svg", f"/claim/{site.link()}", "/claim/nowhere/else"]
    closed = ["/admin", "/admin/style.css", "/claim/../admin", "/claim"]

    assert [browser.get(path).status_code for path in paths] == [200, 200, 200, 404]
    assert {browser.get(path).status_code for path in closed} <= {403, 404}
    assert {browser.get(path).status_code for path in closed[:2]} == {403}


def test_its_pages_need_nothing_of_the_admin(site: Site) -> None:
    browser, path = site.browser(), f"/claim/{site.link()}"
    pages = [browser.get(path), browser.post(path), browser.get(path), browser.get("/claim/nowhere/else")]

    assert ["/admin" in page.text for page in pages] == [False] * 4
    assert all("/claim/style.css?v=" in page.text for page in pages)


def test_every_answer_is_kept_nowhere_tells_nobody_and_runs_no_script(site: Site) -> None:
    browser, path = site.browser(environment="production"), f"/claim/{site.link()}"
    answers = [browser.get(path), browser.post(path), browser.post(path), browser.get("/claim/nowhere/else")]

    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "script-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" in answer.headers
        assert "set-cookie" not in answer.headers
        assert "<script" not in answer.text


def test_a_form_on_another_site_cannot_press_the_button(site: Site) -> None:
    browser, path = site.browser(), f"/claim/{site.link()}"
    answer = browser.send("POST", path, extra={"sec-fetch-site": "cross-site"})

    assert (answer.status_code, site.issued()) == (403, [])
    assert browser.send("POST", path, extra={"sec-fetch-site": "same-origin"}).status_code == 200


def test_where_there_is_no_room_the_link_stays_good(site: Site) -> None:
    browser, path = site.browser(max_keys_per_user=1), f"/claim/{site.link()}"
    first = site.office.issue(site.user)
    answer = browser.post(path)
    assert (answer.status_code, "No key was made" in answer.text, len(site.issued())) == (409, True, 1)

    site.office.revoke(first)
    assert browser.post(path).status_code == 200


def test_with_the_database_away_nothing_is_used_up(site: Site, tmp_path: Path) -> None:
    browser, path = site.browser(f"sqlite:///{tmp_path}"), f"/claim/{site.link()}"  # a folder, no file
    answers = [browser.get(path), browser.post(path)]

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "5")] * 2
    assert site.browser().post(path).status_code == 200


def test_neither_link_nor_key_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    browser, token = site.browser(), site.link()
    browser.get(f"/claim/{token}")
    shown = key_in(browser.post(f"/claim/{token}"))
    browser.get(f"/claim/{token}")

    logged = site.world.log_path.read_text() + "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "a link was used" in logged
    assert token not in logged
    assert shown[9:] not in logged
    assert [line["context"]["endpoint"] for line in site.world.lines()] == ["claim"] * 3


def test_the_key_is_made_at_the_moment_of_the_button(site: Site) -> None:
    path = f"/claim/{site.link()}"
    site.world.now = NOW.timestamp() + 3600
    site.browser().post(path)

    assert [key.created_at for key in site.issued()] == [datetime.fromtimestamp(NOW.timestamp() + 3600, UTC)]
