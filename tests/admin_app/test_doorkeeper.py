"""What pages and the API ask the doorkeeper, and what they are told."""

from __future__ import annotations

from typing import Any

import falcon
import pytest
from falcon.testing import TestClient

from core.actor import Role
from core.admin_sessions import Caller
from tests.admin_app.browser import Browser
from tests.admin_app.door import Door
from tests.admin_app.sign_in_door import door as door


class Page:
    """A page for one role, as pages are written."""

    def __init__(self, door: Door, role: Role) -> None:
        self._keeper = door.apps[0].doorkeeper
        self._role = role

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.site = "203.0.113.9"
        resp.text = self._keeper.require(req, resp, self._role).username

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.site = "203.0.113.9"
        self._keeper.require(req, resp, self._role)
        self._keeper.check_form(req, {"csrf_token": req.get_header("x-form-token") or ""})
        resp.text = self._keeper.token(req)

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.site = "203.0.113.9"
        actor = self._keeper.bearer(req)
        resp.text = "nobody" if actor is None else f"{actor.username} {actor.role} {actor.via}"


def ask(door: Door, role: Role, method: str, headers: dict[str, str]) -> Any:
    app = falcon.App()
    app.add_route("/admin/page", Page(door, role))
    client: Any = TestClient(app)
    return client.simulate_request(method, "/admin/page", headers=headers)


def cookie(browser: Browser) -> dict[str, str]:
    return {"cookie": f"session={browser.cookies['session']}"}


@pytest.mark.parametrize(
    ("has", "wants", "status"),
    [
        (Role.VIEWER, Role.VIEWER, 200),
        (Role.VIEWER, Role.EDITOR, 403),
        (Role.VIEWER, Role.OWNER, 403),
        (Role.EDITOR, Role.VIEWER, 200),
        (Role.EDITOR, Role.EDITOR, 200),
        (Role.EDITOR, Role.OWNER, 403),
        (Role.OWNER, Role.VIEWER, 200),
        (Role.OWNER, Role.OWNER, 200),
    ],
)
def test_a_role_opens_what_it_includes(door: Door, has: Role, wants: Role, status: int) -> None:
    door.add("ann", has)

    assert ask(door, wants, "GET", cookie(door.signed_in("ann"))).status_code == status


def test_whoever_has_no_good_session_is_sent_to_the_form_and_loses_the_cookie(door: Door) -> None:
    browser = door.signed_in()
    ended = cookie(browser)
    browser.post("/admin/logout")

    anonymous, late = ask(door, Role.VIEWER, "GET", {}), ask(door, Role.VIEWER, "GET", ended)

    assert (anonymous.status_code, anonymous.headers["location"]) == (303, "/admin/login?next=%2Fadmin%2Fpage")
    assert (late.status_code, late.cookies["session"].max_age) == (303, 0)


def test_a_form_needs_the_token_of_its_own_session(door: Door) -> None:
    mine, other = door.signed_in(), door.signed_in()

    statuses = [
        ask(door, Role.VIEWER, "POST", {**cookie(mine), "x-form-token": token}).status_code
        for token in (mine.token, other.token, "", "x")
    ]

    assert statuses == [200, 403, 403, 403]


def test_a_bearer_is_whom_the_token_stands_for_and_a_cookie_is_no_bearer(door: Door) -> None:
    ann = door.add("ann", Role.EDITOR)
    browser = door.signed_in("ann")
    credentials = door.apps[0].doorkeeper.credentials
    token = credentials.database.run(lambda c: credentials.begin_jwt(c, ann.id, Caller("x"))).token

    def told(headers: dict[str, str]) -> str:
        return str(ask(door, Role.VIEWER, "PUT", headers).text)

    assert told({"authorization": f"Bearer {token}"}) == told({"authorization": f"bearer  {token}"}) == "ann editor jwt"
    assert {
        told(headers) for headers in ({}, cookie(browser), {"authorization": f"Basic {token}"}, {"authorization": "Bearer"})
    } == {"nobody"}


def test_a_jwt_is_no_cookie(door: Door) -> None:
    ann = door.add("ann")
    door.browser()
    keeper = door.apps[0].doorkeeper
    token = keeper.credentials.database.run(lambda c: keeper.credentials.begin_jwt(c, ann.id, Caller("x"))).token

    answers = [ask(door, Role.VIEWER, "GET", {"cookie": f"session={each}"}) for each in (token, keeper.sessions.sealed(token))]

    assert [answer.status_code for answer in answers] == [303, 303]
