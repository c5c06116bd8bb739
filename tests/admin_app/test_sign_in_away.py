"""Who gets in while the database is away: the managed owner alone, and to nothing but how the worker is."""

from __future__ import annotations

from typing import Any

import pytest
from falcon.testing import Result

from tests.admin_app.browser import Browser
from tests.admin_app.door import PASSWORD, Door
from tests.admin_app.sign_in_door import door as door
from tests.admin_app.sign_in_door import is_in

# While the database is away


def away(door: Door) -> None:
    door.database_url = f"sqlite:///{door.folder}"  # a folder, no file


def test_while_the_database_is_away_the_owner_sees_how_the_worker_is_and_nothing_else(door: Door) -> None:
    away(door)
    browser = door.browser()
    door.enter(browser)

    overview, account = browser.get("/admin"), browser.get("/admin/account")

    assert (overview.status_code, "some-host" in overview.text, account.status_code) == (503, True, 503)
    assert browser.post("/admin/logout").status_code == 303
    assert "some-host" not in browser.get("/admin").text


def test_it_is_the_same_when_the_database_goes_away_later(door: Door, postgres_server: Any) -> None:
    door.database_url = postgres_server.migrated()
    signed_in = door.signed_in()
    postgres_server.drop(door.database_url)
    recognised = signed_in.get("/admin")
    door.enter(signed_in)

    overview = signed_in.get("/admin")

    assert (recognised.status_code, "Sign in</h1>" in recognised.text) == (503, True)
    assert (overview.status_code, "some-host" in overview.text, signed_in.get("/admin/account").status_code) == (503, True, 503)


def test_who_stood_in_is_nobody_once_the_database_is_back(door: Door) -> None:
    good_url = door.database_url
    away(door)
    standing_in = door.browser()
    door.enter(standing_in)
    door.database_url = good_url

    back = Browser(door.worker(), cookies=dict(standing_in.cookies))

    assert (is_in(back), "Sign in</h1>" in back.get("/admin").text) == (False, True)


@pytest.mark.parametrize(("name", "password"), [("admin", "wrong"), ("ann", PASSWORD)])
def test_nobody_else_stands_in(door: Door, name: str, password: str) -> None:
    door.add("ann")
    away(door)

    assert door.enter(door.browser(), name, password).status_code == 401


def test_where_a_second_factor_is_demanded_nobody_stands_in(door: Door) -> None:
    away(door)
    browser = door.browser(admin_require_totp=True)

    answer = door.enter(browser)

    assert (answer.status_code, "second factor cannot be checked" in answer.text) == (503, True)
    assert "session" not in browser.cookies


def test_whoever_was_signed_in_is_told_that_the_database_is_away(door: Door) -> None:
    signed_in = door.signed_in()
    away(door)
    answer: Result = Browser(door.worker(), cookies=dict(signed_in.cookies)).get("/admin")

    assert (answer.status_code, "The database is away" in answer.text) == (503, True)
