"""A database that takes connections and answers nothing: whatever is asked is answered in bounded time, and /ready tells."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.crypto import hash_password
from tests.live.admin_browser import LiveBrowser
from tests.live.leaver import eventually
from tests.live.postgres import Postgres

PASSWORD = "a password for tests, not for use"
PAGES = (
    "/admin", "/admin/login", "/admin/users", "/admin/keys", "/admin/requests", "/admin/usage", "/admin/models", "/admin/prices",
    "/admin/circuits", "/admin/audit", "/admin/admins", "/admin/system", "/admin/account", "/claim/nobody-has-this",
    "/admin/api/v1/users", "/ak/{key}/status", "/ak/{key}/statusline", "/ak/ak_unknown/status", "/metrics",
)  # fmt: skip
BOUND_S = 25.0  # 10 to 13 s measured: those that reports wait for their connection, or a silent one and the try to make another


@pytest.fixture(scope="module")
def product_settings(postgres: Postgres) -> dict[str, str]:
    return {"PROXY_DATABASE_URL": postgres.url, "PROXY_ADMIN_PASSWORD_HASH": hash_password(PASSWORD, rounds=4)}


def asked(browser: LiveBrowser, path: str) -> tuple[int, float]:
    """By a browser of its own with the same cookies: it keeps what it is given, while others ask."""
    began = time.monotonic()
    return LiveBrowser(browser.url, cookies=dict(browser.cookies)).get(path).status, time.monotonic() - began


def test_every_page_and_request_is_answered_and_ready_tells(stack: Any, postgres: Postgres) -> None:
    browser, developer = LiveBrowser(stack.url), stack.developer()
    assert browser.sign_in("admin", PASSWORD).status == 303
    paths = [path.format(key=urlsplit(developer.base_url).path.rpartition("/")[2]) for path in PAGES]
    with ThreadPoolExecutor(len(paths)) as people:
        postgres.signal(signal.SIGSTOP)
        try:
            found = dict(zip(PAGES, people.map(lambda path: asked(browser, path), paths), strict=True))
            told = eventually(lambda: '"degraded"' in browser.get("/ready").text and browser.get("/ready").text)
            health = asked(browser, "/health")
        finally:
            postgres.signal(signal.SIGCONT)

    assert {path: took_s for path, (_, took_s) in found.items() if took_s > BOUND_S} == {}
    assert {path: status for path, (status, _) in found.items() if status not in (200, 303, 401, 403, 404, 503)} == {}
    assert "database" in str(told)
    assert (health[0], health[1] < 5) == (200, True)
    assert eventually(lambda: '"ready"' in browser.get("/ready").text)
