"""A worker imports everything at its start: an import in the middle of a request would hold every stream for its time."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from core.crypto import hash_password
from sandbox.client import Sandbox
from sandbox.product import Product
from tests.live.admin_browser import LiveBrowser
from tests.live.asking import ask, post
from tests.live.conftest import Developer

PASSWORD = "correct horse battery staple"
SERVING = ("gunicorn", "-c", "tests/live/imports_gunicorn.py", "wsgi:create_app()")
NAMES = ("", "/users", "/keys", "/usage", "/requests", "/circuits", "/prices", "/models", "/audit", "/admins", "/system")
PAGES = tuple(f"/admin{name}" for name in (*NAMES, "/account", "/api", "/users?search=dev", "/usage?range=30d&group=user"))
FILES = ("/admin/users.csv", "/admin/keys.csv", "/admin/usage.csv?range=30d&group=key", "/admin/api/openapi.json")
OWN = ("/status", "/statusline", "/v1/models", "/nothing")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "imports"
    made.mkdir()
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def serving(request: Any, install: Any, folder: Path) -> Iterator[tuple[Product, Sandbox]]:
    """Both stand-ins by name, as real upstreams are."""
    server = request.getfixturevalue("postgres_server") if request.param == "postgresql" else None
    url = {"PROXY_DATABASE_URL": server.migrated()} if server else {}
    with Sandbox("anthropic") as plan, Sandbox("bedrock") as bedrock:
        upstreams = {"PROXY_PLAN_URL": f"http://localhost:{plan.port}", "PROXY_BEDROCK_URL": f"http://localhost:{bedrock.port}"}
        signing_in = {"PROXY_ADMIN_PASSWORD_HASH": hash_password(PASSWORD, rounds=4)}
        with install({**url, **upstreams, **signing_in, "IMPORTS": str(folder)}) as product:
            product.serving = SERVING
            product.start()
            yield product, plan


def developers_work(developer: Developer, plan: Sandbox) -> None:
    """Both upstreams, streamed and not, and everything beside messages."""
    counted = {"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "hi"}]}
    assert [ask(developer, stream=stream).provider for stream in (True, False)] == ["plan", "plan"]
    assert post(developer, "/v1/messages/count_tokens", counted).status == 200
    plan.fault("plan_exhausted")
    assert [ask(developer, stream=stream).provider for stream in (True, False)] == ["bedrock", "bedrock"]
    for path in OWN:
        with suppress(HTTPError):
            urllib.request.urlopen(f"{developer.base_url}{path}", timeout=60).close()


def administrators_work(product: Product) -> None:
    """Every page and file, a form that is refused, and one that is not."""
    browser = LiveBrowser(product.url)
    assert browser.sign_in("admin", PASSWORD).status == 303
    user_id, key_id = product.cli("user", "list")[0]["id"], product.cli("key", "list")[0]["id"]
    for path in (*PAGES, f"/admin/users/{user_id}", f"/admin/keys/{key_id}", *FILES):
        assert browser.get(path).status == 200, path
    browser.get("/admin/users/new")
    assert browser.post("/admin/users/new", name="").status == 422
    assert browser.post("/admin/users/new", name="Eve", strategy="plan_first").status == 303
    assert browser.get("/admin/no-such-page").status == 404


def test_no_request_imports_anything(serving: tuple[Product, Sandbox], folder: Path) -> None:
    product, plan = serving
    key = product.add_developer("dev")
    developers_work(Developer("", "", key, product.base_url(key)), plan)
    administrators_work(product)
    product.stop()

    [imported] = folder.iterdir()
    assert imported.read_text() == ""
