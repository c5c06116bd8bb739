"""That the search for secrets after the browser tests can find one, and where it looks (the search itself: conftest.py)."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from tests.browser.town import Town, searched
from tests.live.marked_traffic import finds

SECRET = "ak_" + "Quokka8Quokka8" * 3


def test_nothing_of_the_furnished_town_is_anywhere_but_where_it_belongs(town: Town) -> None:
    assert len(town.secrets) >= 3
    assert town.leaks() == []


def test_what_is_served_and_written_is_all_of_it(town: Town) -> None:
    served, written = town.served(), town.written()

    assert {
        "/admin",
        "/admin/users",
        "/admin/keys.csv",
        "/admin/audit",
        f"/admin/users/{town.furnished.ids['user_id']}",
    } <= served.keys()
    assert {"server.log", "database as text"} <= written.keys()
    assert b"Ada Example" in written["database as text"]
    assert b"Ada Example" in served["/admin/users"]
    assert b"Ada Example" in served["/admin/api/v1/users"]
    assert not any(page.startswith(b"<!doctype html>") and b"<h1>Sign in</h1>" in page for page in served.values())


@pytest.mark.parametrize("written", [str, quote, lambda text: base64.b64encode(text.encode()).decode()])
def test_a_secret_that_got_out_is_found_however_it_is_written(written: object) -> None:
    page = f"<p>{written(SECRET)}</p>".encode()  # type: ignore[operator]

    assert finds(searched(SECRET), {"page": page}) != []
