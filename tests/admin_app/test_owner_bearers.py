"""Tokens of the API for the owner that the settings define, through the whole admin app."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import Result

from admin_app.app import AdminApp
from core.db import open_database
from core.local_files import LocalSecrets
from core.settings import Settings
from tests.admin_app.browser import Browser
from tests.admin_app.test_pages import HASH, PASSWORD, SECRET, World

TOKEN = "/admin/api/v1/token"
JSON = {"content-type": "application/json"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "log")


@pytest.fixture
def browser(world: World, sqlite_template: Path, tmp_path: Path) -> Iterator[Browser]:
    copy = tmp_path / "api.sqlite"
    copy.write_bytes(sqlite_template.read_bytes())
    settings = Settings(database_url=f"sqlite:///{copy}", admin_password_hash=HASH)
    app = AdminApp(settings, LocalSecrets("s" * 32, SECRET, HASH), open_database(settings, pool_size=1), world.around())
    yield Browser(app)
    app.close()


def sign_in(browser: Browser, password: str = PASSWORD, **more: Any) -> Result:
    return browser.send("POST", TOKEN, json.dumps({"username": "admin", "password": password, **more}), JSON)


def users(browser: Browser, token: str) -> int:
    return browser.send("GET", "/admin/api/v1/users", None, {"authorization": f"Bearer {token}"}).status_code


def test_name_and_password_give_a_token_that_works_for_a_day(browser: Browser, world: World) -> None:
    told = sign_in(browser).json
    at_first = users(browser, told["access_token"])
    world.now += 24 * 3600

    assert (told["token_type"], told["expires_at"]) == ("Bearer", "2026-05-02T12:00:00Z")
    assert (at_first, users(browser, told["access_token"])) == (200, 401)


def test_a_token_that_was_ended_works_no_more(browser: Browser) -> None:
    token = sign_in(browser).json["access_token"]

    ended = browser.send("DELETE", TOKEN, None, {"authorization": f"Bearer {token}"})

    assert (ended.status_code, users(browser, token)) == (204, 401)


@pytest.mark.parametrize("fields", [{"password": "wrong"}, {"username": "somebody"}, {"password": "x" * 1024}])
def test_every_wrong_login_reads_the_same(browser: Browser, fields: dict[str, str]) -> None:
    answer = sign_in(browser, **fields)

    assert (answer.status_code, answer.json["type"]) == (401, "/admin/api#wrong-login")
    assert answer.json["detail"] == "User name, password or code is wrong."
    assert answer.headers["www-authenticate"] == 'Bearer realm="admin"'


def test_guessing_is_slowed_down_together_with_the_form(browser: Browser) -> None:
    for _ in range(5):
        browser.sign_in("admin", "wrong")

    answer = sign_in(browser)

    assert (answer.status_code, answer.json["type"]) == (429, "/admin/api#too-many")
    assert int(answer.headers["retry-after"]) > 0


def test_the_cookie_of_a_session_is_no_token(browser: Browser) -> None:
    browser.sign_in("admin", PASSWORD)

    assert users(browser, browser.cookies["session"]) == 401
    assert browser.send("GET", "/admin/api/v1/users").status_code == 401


def test_a_token_is_no_cookie_of_a_session(browser: Browser) -> None:
    browser.cookies["session"] = sign_in(browser).json["access_token"]

    assert browser.get("/admin/users").status_code == 303


def test_neither_password_nor_token_is_logged(browser: Browser, world: World, caplog: pytest.LogCaptureFixture) -> None:
    token = sign_in(browser).json["access_token"]
    users(browser, token)

    logged = caplog.text + world.log_path.read_text()
    assert (PASSWORD in logged, token in logged) == (False, False)
    assert len(world.lines()) == 2


def test_the_reference_is_a_page_for_whoever_is_signed_in(browser: Browser) -> None:
    before = browser.get("/admin/api")
    browser.sign_in("admin", PASSWORD)
    page = browser.get("/admin/api/")

    assert (before.status_code, page.status_code) == (303, 200)
    assert "/admin/api/openapi.json" in page.text


def test_what_is_not_there_below_the_api_is_a_problem_and_no_page(browser: Browser) -> None:
    answer = browser.get("/admin/api/nothing")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
