"""What keys' pages keep back: from viewers, from strangers, from forms without a token, and from markup in names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import falcon
import pytest
from falcon.testing import TestClient

from admin_app import bedrock_key_pages, key_pages, user_pages
from admin_app.app import AdminApp
from admin_app.front import Front
from core.actor import Actor, Role
from core.audit import Filter, entries
from tests.admin_app.browser import Browser
from tests.admin_app.key_pages_world import app as app
from tests.admin_app.key_pages_world import database_url as database_url
from tests.admin_app.key_pages_world import office as office
from tests.admin_app.key_pages_world import owner as owner
from tests.admin_app.key_pages_world import probe as probe
from tests.core.office import Office

XSS = """"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}"""
CHANGES = (
    "/admin/users/{user}/keys/new",
    "/admin/users/{user}/bedrock-keys/new",
    "/admin/users/{user}/links/new",
    "/admin/keys/{key}/edit",
    "/admin/keys/{key}/rotate",
    "/admin/keys/{key}/revoke",
    "/admin/keys/{key}/circuits",
    "/admin/bedrock-keys/{bedrock}/test",
    "/admin/bedrock-keys/{bedrock}/remove",
)


# Roles


@pytest.fixture
def viewer(app: AdminApp) -> TestClient:
    """Somebody who may look only, at the same pages."""
    front = replace(front_of(app), doorkeeper=ViewersDoor())  # type: ignore[arg-type]
    inner: Any = falcon.App()
    for path, resource in {**user_pages.routes(front), **key_pages.routes(front), **bedrock_key_pages.routes(front)}.items():
        inner.add_route(path, resource)
    return TestClient(inner)


def front_of(app: AdminApp) -> Front:
    found = app._falcon._router.find("/admin/keys")[0]._front
    assert isinstance(found, Front)
    return found


class ViewersDoor:
    """Lets everybody in as a viewer, as the real one does with a viewer's session."""

    def require(self, req: falcon.Request, resp: falcon.Response, role: Role) -> Actor:
        if not Role.VIEWER.includes(role):
            raise falcon.HTTPForbidden
        return Actor("adm_2", "vera", Role.VIEWER, "session", "", "203.0.113.9")

    def token(self, req: falcon.Request) -> str:
        return "t"

    def check_form(self, req: falcon.Request, fields: Mapping[str, str]) -> None:
        """Every form is good."""


def test_a_viewer_sees_a_user_and_a_key_and_no_button_that_changes_them(viewer: TestClient, office: Office) -> None:
    user = office.add("Ada")
    key = office.issue(user, name="laptop")
    office.attach(user)

    pages = [viewer.simulate_get(path).text for path in (f"/admin/users/{user.id}", f"/admin/keys/{key.id}", "/admin/keys")]

    assert ["laptop" in page for page in pages] == [True, True, True]
    words = ("Issue a key", "one-time link", "Test now", "Remove", "Rotate", "Revoke<", "/edit", "/new")
    assert [[word for word in words if word in page] for page in pages] == [[], [], []]


@pytest.mark.parametrize("path", [path for path in CHANGES if "/links/" not in path])
def test_a_viewer_gets_no_form_and_sends_none(viewer: TestClient, path: str) -> None:
    got, sent = viewer.simulate_get(path).status_code, viewer.simulate_post(path).status_code

    assert (got in (403, 405), sent) == (True, 403)


# Safety


def test_names_with_markup_are_shown_as_they_are_on_every_page(owner: Browser, office: Office) -> None:
    user = office.add(XSS)
    key = office.issue(user, name=XSS)
    bedrock_id = office.attach(user, name=XSS)
    owner.get(f"/admin/users/{user.id}/links/new")
    made = owner.post(f"/admin/users/{user.id}/links/new", name=XSS).text
    paths = (
        "/admin/keys",
        "/admin/users",
        f"/admin/users/{user.id}",
        f"/admin/keys/{key.id}",
        f"/admin/keys/{key.id}/edit",
        f"/admin/keys/{key.id}/rotate",
        f"/admin/keys/{key.id}/revoke",
        f"/admin/users/{user.id}/keys/new",
        f"/admin/users/{user.id}/bedrock-keys/new",
        f"/admin/bedrock-keys/{bedrock_id}/remove",
    )

    pages = [made, *(owner.get(path).text for path in paths)]

    assert [page for page in pages if "<script>alert" in page or "<img src=x" in page] == []
    assert all("&lt;script&gt;" in page for page in pages)


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("token", ["", "made-up"])
def test_a_form_without_its_token_changes_nothing(owner: Browser, office: Office, path: str, token: str) -> None:
    user = office.add("Ada")
    key, bedrock_id = office.issue(user), office.attach(user)
    owner.token, before = token, office.database.read(lambda c: entries(c, Filter(), 10).lines)

    answer = owner.post(path.format(user=user.id, key=key.id, bedrock=bedrock_id), secret="s", family="opus")

    assert answer.status_code == 403
    assert office.database.read(lambda c: entries(c, Filter(), 10).lines) == before


@pytest.mark.parametrize("path", [*CHANGES, "/admin/keys", "/admin/keys.csv", "/admin/users.csv", "/admin/keys/{key}"])
def test_who_is_not_signed_in_gets_the_form_to_sign_in(app: AdminApp, path: str) -> None:
    stranger = Browser(app)

    got = stranger.get(path.format(user="usr_1", key="key_1", bedrock="bdk_1"))
    sent = stranger.post(path.format(user="usr_1", key="key_1", bedrock="bdk_1"))

    assert {got.status_code, sent.status_code} <= {303, 405}
    assert [each.headers["location"][:12] for each in (got, sent) if each.status_code == 303].count("/admin/login") >= 1


@pytest.mark.parametrize(
    "path", ["/admin/keys/key_no", "/admin/users/usr_no", "/admin/users/usr_no/keys/new", "/admin/keys/key_no/revoke"]
)
def test_what_is_not_there_is_not_found(owner: Browser, path: str) -> None:
    assert owner.get(path).status_code == 404


def test_pages_have_nothing_inline(owner: Browser, office: Office) -> None:
    user = office.add("Ada")
    key = office.issue(user)
    office.attach(user)

    pages = [owner.get(path).text for path in (f"/admin/users/{user.id}", f"/admin/keys/{key.id}", "/admin/keys")]

    assert [re.findall(r"<style|\sstyle=|<script>|\son\w+=|hx-on", page) for page in pages] == [[], [], []]


def test_a_vault_that_is_another_says_so_instead_of_failing(owner: Browser, office: Office) -> None:
    user = office.add("Ada")
    bedrock_id = office.attach(user)  # sealed with the office's vault, not the app's
    owner.get(f"/admin/users/{user.id}")

    answer = owner.post(f"/admin/bedrock-keys/{bedrock_id}/test", key="")

    assert (answer.status_code, "sealed with another key" in answer.text) == (409, True)
