"""An account in its owner's hands: its password, sessions and API tokens."""

from __future__ import annotations

from core.actor import Role
from tests.admin_app.door import PASSWORD, Door
from tests.admin_app.sign_in_door import door as door
from tests.admin_app.sign_in_door import is_in

# The account


def test_a_changed_password_ends_all_other_sessions_and_the_old_one_opens_nothing(door: Door) -> None:
    door.add("ann")
    mine, other = door.signed_in("ann"), door.signed_in("ann")

    wrong = mine.post("/admin/account/password", password="not it", new_password="a longer sentence than before")
    weak = mine.post("/admin/account/password", password=PASSWORD, new_password="password1234")
    changed = mine.post("/admin/account/password", password=PASSWORD, new_password="a longer sentence than before")

    assert (wrong.status_code, weak.status_code, changed.status_code) == (401, 422, 303)
    assert (is_in(mine), is_in(other), door.enter(door.browser(), "ann").status_code) == (True, False, 401)
    assert door.enter(door.browser(), "ann", "a longer sentence than before").status_code == 303


def test_the_managed_owners_password_is_changed_in_the_settings_alone(door: Door) -> None:
    browser = door.signed_in()

    answer = browser.post("/admin/account/password", password=PASSWORD, new_password="a longer sentence than before")

    assert (answer.status_code, "PROXY_ADMIN_PASSWORD_HASH" in answer.text) == (422, True)


def test_one_session_is_ended_and_then_all_others(door: Door) -> None:
    mine, second, third = (door.signed_in() for _ in range(3))
    page = mine.get("/admin/account").text
    ids = [part.partition('"')[0] for part in page.split('name="session" value="')[1:]]

    mine.post("/admin/account/sessions", session=ids[0])
    after_one = [is_in(each) for each in (second, third)]
    mine.post("/admin/account/sessions", others="1")

    assert (len(ids), sorted(after_one)) == (2, [False, True])
    assert [is_in(each) for each in (mine, second, third)] == [True, False, False]


def test_an_api_token_is_shown_once_and_revoked(door: Door) -> None:
    browser = door.signed_in()
    made = browser.post("/admin/account/tokens", name="ci", role="editor", days="30")
    token = made.text.partition("cpt_")[2][:44]
    keeper = door.apps[0].doorkeeper
    actor = keeper.credentials.of_bearer(f"cpt_{token}", "x")
    page = browser.get("/admin/account").text
    token_id = page.partition('name="id" value="')[2].partition('"')[0]
    browser.post("/admin/account/tokens/revoke", id=token_id)

    assert actor is not None
    assert (actor.role, token in page, keeper.credentials.of_bearer(f"cpt_{token}", "x")) == (Role.EDITOR, False, None)


def test_a_viewer_cannot_make_a_token_of_an_owner(door: Door) -> None:
    door.add("ann", Role.VIEWER)
    browser = door.signed_in("ann")

    answer = browser.post("/admin/account/tokens", name="ci", role="owner", days="30")

    assert (answer.status_code, "cpt_" in answer.text) == (422, False)
