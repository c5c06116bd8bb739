"""The pages of administrators, as an owner's browser meets them."""

from __future__ import annotations

import re

import pytest

from core import admins
from core.actor import Role
from core.api_tokens import NewToken, issue_token
from tests.admin_app.browser import Browser
from tests.admin_app.door import PASSWORD, Door
from tests.admin_app.sign_in_door import door as door
from tests.core.office import NOW, SERVER_SECRET

HOME = "/admin/admins"


@pytest.fixture
def owner(door: Door) -> Browser:
    return door.signed_in()


def row_of(page: str, name: str) -> str:
    return next(row for row in re.findall(r'<tr role="row">.*?</tr>', page, re.S) if f">{name}</a>" in row)


def test_the_list_says_who_may_what_and_who_is_managed(door: Door, owner: Browser) -> None:
    door.add("ann", Role.EDITOR)
    page = owner.get(HOME).text
    assert "managed by the settings" in row_of(page, "admin")
    assert ("editor" in row_of(page, "ann"), "never" in row_of(page, "ann")) == (True, True)


def test_who_is_alone_is_told_to_add_everybody_who_administers(owner: Browser) -> None:
    assert "You are the only one" in owner.get(HOME).text


@pytest.mark.parametrize("path", ["", "/new", "/{id}", "/{id}/role", "/{id}/password", "/{id}/delete", "/{id}/disable"])
def test_who_is_no_owner_is_kept_out_of_every_page(door: Door, path: str) -> None:
    ann = door.add("ann", Role.EDITOR)
    browser = door.signed_in("ann")
    assert browser.get(HOME + path.format(id=ann.id)).status_code == 403
    assert HOME not in browser.get("/admin/account").text


def test_a_new_admin_signs_in_with_the_password_that_was_shown_once(door: Door, owner: Browser) -> None:
    owner.get(f"{HOME}/new")
    made = owner.post(f"{HOME}/new", username="ann", role="viewer", password="")
    password = re.search(r'aria-label="The password">([\w-]{20})</pre>', made.text)[1]  # type: ignore[index]
    assert (made.status_code, door.enter(door.browser(), "ann", password).status_code) == (200, 303)
    assert password not in owner.get(HOME).text


def test_with_an_own_password_the_page_of_the_admin_follows(door: Door, owner: Browser) -> None:
    owner.get(f"{HOME}/new")
    answer = owner.post(f"{HOME}/new", username="ann", role="editor", password=PASSWORD)
    page = owner.get(answer.headers["location"]).text
    assert (answer.status_code, "The admin is added" in page, "<h1>ann</h1>" in page) == (303, True, True)
    assert door.enter(door.browser(), "ann").status_code == 303


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"username": "a<b"}, 409),
        ({"username": ""}, 422),
        ({"username": "ann", "role": "king"}, 422),
        ({"password": "short"}, 409),
    ],
)
def test_a_form_that_is_refused_keeps_what_was_typed_but_the_password(
    owner: Browser, fields: dict[str, str], status: int
) -> None:
    owner.get(f"{HOME}/new")
    answer = owner.post(f"{HOME}/new", **{"username": "bea", "role": "editor", "password": "", **fields})
    typed = fields.get("username", "bea").replace("<", "&lt;")
    assert (answer.status_code, f'value="{typed}"' in answer.text, 'role="alert"' in answer.text) == (status, True, True)
    assert 'value="short"' not in answer.text


@pytest.mark.parametrize("verb", ["new", "{id}/role", "{id}/password", "{id}/disable", "{id}/delete", "{id}/second-factor"])
def test_the_password_is_asked_for_before_the_form_and_then_the_form_is_there(door: Door, owner: Browser, verb: str) -> None:
    path = f"{HOME}/{verb.format(id=door.add('ann').id)}"
    door.now += 11 * 60
    asked = owner.get(path)
    assert (asked.status_code, asked.headers["location"]) == (303, f"/admin/confirm?next={path.replace('/', '%2F')}")
    owner.get(asked.headers["location"])
    back = owner.post("/admin/confirm", password=PASSWORD, next=path)
    assert (back.headers["location"], owner.get(path).status_code) == (path, 200)


def test_a_form_that_was_open_for_too_long_changes_nothing(door: Door, owner: Browser) -> None:
    ann = door.add("ann")
    owner.get(f"{HOME}/{ann.id}/delete")
    door.now += 11 * 60
    answer = owner.post(f"{HOME}/{ann.id}/delete")
    assert answer.headers["location"].startswith("/admin/confirm?next=")
    assert [each.username for each in door.run(admins.list_admins)] == ["admin", "ann"]


@pytest.mark.parametrize(
    ("verb", "fields", "notice"),
    [
        ("role", {"role": "viewer"}, "The role is changed"),
        ("disable", {}, "The admin is disabled"),
        ("second-factor", {}, "The second factor is taken away"),
        ("end-sessions", {}, "The sessions have ended"),
        ("password", {"password": PASSWORD}, "The password is changed"),
    ],
)
def test_a_change_signs_them_out_and_is_said_and_audited(
    door: Door, owner: Browser, verb: str, fields: dict[str, str], notice: str
) -> None:
    ann = door.add("ann")
    theirs = door.signed_in("ann")
    owner.get(f"{HOME}/{ann.id}/{verb}")
    door.now += 1
    answer = owner.post(f"{HOME}/{ann.id}/{verb}", **fields)
    assert (answer.status_code, notice in owner.get(answer.headers["location"]).text) == (303, True)
    assert theirs.get("/admin/account").headers["location"].startswith("/admin/login")
    assert (door.noted()[-1].target, door.noted()[-1].username) == (ann.id, "admin")


def test_deleting_names_what_will_happen_and_leads_to_the_list(door: Door, owner: Browser) -> None:
    ann = door.add("ann")
    asked = owner.get(f"{HOME}/{ann.id}/delete").text
    answer = owner.post(f"{HOME}/{ann.id}/delete")
    page = owner.get(answer.headers["location"]).text
    assert ("Delete ann?" in asked, "audit log" in asked, "The admin is deleted" in page) == (True, True, True)
    assert ">ann</a>" not in page


def test_the_last_owner_is_refused_in_words_on_the_form(door: Door) -> None:
    door.worker(admin_password_hash="")  # the settings define nobody
    boss = door.add("boss")
    browser = door.signed_in("boss")
    browser.get(f"{HOME}/{boss.id}/role")
    answer = browser.post(f"{HOME}/{boss.id}/role", role="viewer")
    assert (answer.status_code, "last active owner" in answer.text) == (409, True)


def test_of_the_managed_owner_only_the_second_factor_can_be_changed_here(door: Door, owner: Browser) -> None:
    [managed] = door.run(admins.list_admins)
    page = owner.get(f"{HOME}/{managed.id}").text
    assert ("PROXY_ADMIN_PASSWORD_HASH" in page, f"{managed.id}/delete" in page, f"{managed.id}/password" in page) == (
        True,
        False,
        False,
    )


def test_sessions_and_tokens_of_an_admin_are_shown_and_ended_by_a_button(door: Door, owner: Browser) -> None:
    ann = door.add("ann")
    theirs = door.signed_in("ann")
    token = door.run(lambda c: issue_token(c, ann.id, NewToken("ci", Role.VIEWER, NOW.replace(month=6)), SERVER_SECRET, NOW))
    page = owner.get(f"{HOME}/{ann.id}").text
    session = re.search(r'name="session_id" value="(\w+)"', page)[1]  # type: ignore[index]
    ended = owner.post(f"{HOME}/{ann.id}/sessions", session_id=session)
    revoked = owner.post(f"{HOME}/{ann.id}/tokens", token_id=token.id)
    assert ("ended" in ended.headers["location"], "revoked" in revoked.headers["location"]) == (True, True)
    assert theirs.get("/admin/account").status_code == 303
    assert ("Nowhere at this moment" in (after := owner.get(f"{HOME}/{ann.id}").text), ">revoked<" in after) == (True, True)
    assert token.token not in page + after


def test_what_has_ended_already_is_no_error(door: Door, owner: Browser) -> None:
    ann = door.add("ann")
    owner.get(f"{HOME}/{ann.id}/role")
    answer = owner.post(f"{HOME}/{ann.id}/sessions", session_id="ses_gone")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HOME}/{ann.id}")


def test_who_does_not_exist_has_no_page(owner: Browser) -> None:
    assert [owner.get(f"{HOME}/adm_none{path}").status_code for path in ("", "/role", "/password", "/delete")] == [404] * 4
