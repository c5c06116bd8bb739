"""Operations on administrators, their sessions and API tokens: who may, what they give, what the audit log keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyotp
import pytest

from admin_app import admin_operations as does
from admin_app import signed_in_operations as of_them
from admin_app.admin_operations import AdminMade
from admin_app.fields import from_json
from admin_app.operation import NotAllowed, NotConfirmed, Operation, Work, perform
from admin_app.password_queue import Busy
from core import admin_sessions, admins, second_factor
from core.access import Invalid, NameTaken, NotFound, Refused
from core.actor import Role
from core.admin_sessions import Caller, Kind
from core.admins import LastOwner, Managed
from core.crypto import check_password
from core.db import Database
from core.managed_owner import ensure_managed_owner
from tests.admin_app.desk import Desk, an_actor
from tests.core.office import NOW, SERVER_SECRET

OWN = "correct horse battery staple"
CHANGES = (does.ADD, does.CHANGE, does.ENABLE, does.DISABLE, does.RESET_PASSWORD, does.RESET_TOTP, does.DELETE)
THEIRS = (does.LIST, does.GET, of_them.SESSIONS, of_them.END, of_them.END_ALL, of_them.TOKENS, of_them.REVOKE)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def added(desk: Desk, name: str = "ann", role: str = "owner", **fields: Any) -> AdminMade:
    made: AdminMade = desk.does(does.ADD, username=name, role=role, **fields)
    return made


def opens(desk: Desk, name: str, password: str) -> bool:
    login = desk.database.read(lambda c: admins.find_login(c, name))
    return login is not None and check_password(password, login.password_hash)


def as_them(desk: Desk, admin: AdminMade, operation: Operation, via: str = "session", **fields: Any) -> Any:
    """By the admin themself, signed in with `ses_1`."""
    actor = an_actor(admin.role, admin_id=admin.id, username=admin.username, via=via)
    return perform(operation, Work(desk.database, actor, desk.now, desk.tools), from_json(operation.takes, fields))


def sign_in(desk: Desk, admin: AdminMade, digest: str = "d" * 64) -> str:
    begun = desk.database.run(
        lambda c: admin_sessions.begin(c, admin.id, digest, Kind.SESSION, Caller("203.0.113.9", "a browser"), NOW)
    )
    return begun.id


def make_token(desk: Desk, admin: AdminMade, role: str = "viewer", **more: Any) -> Any:
    until = (NOW + timedelta(days=30)).isoformat()
    return as_them(desk, admin, of_them.ISSUE, name="ci", role=role, expires_at=until, **more)


def test_an_admin_is_added_with_a_password_that_is_told_once(desk: Desk) -> None:
    made = added(desk, role="editor")
    assert made.password is not None
    assert opens(desk, "ann", made.password)
    assert (made.role, made.status, made.is_managed, made.last_sign_in_at) == ("editor", "active", False, None)
    assert made.password not in repr(made) + repr(desk.does(does.GET, admin_id=made.id)) + repr(desk.audited())


def test_an_own_password_is_taken_and_not_told(desk: Desk) -> None:
    made = added(desk, password=OWN)
    assert (made.password, opens(desk, "ann", OWN)) == (None, True)
    assert OWN not in repr(desk.audited()) + repr(does.NewAdmin(username="ann", password=OWN))


@pytest.mark.parametrize("password", ["short", "password12345", "ann-ann-ann-ann"])
def test_an_own_password_that_everybody_tries_first_is_refused(desk: Desk, password: str) -> None:
    with pytest.raises(Invalid):
        added(desk, password=password)
    assert (desk.does(does.LIST).data, desk.audited()) == ([], [])


def test_names_are_given_once_in_whatever_case(desk: Desk) -> None:
    added(desk)
    with pytest.raises(NameTaken):
        added(desk, "ANN")


def test_the_list_comes_a_page_at_a_time(desk: Desk) -> None:
    names = [added(desk, name).username for name in ("ann", "ben", "cia")]
    first = desk.does(does.LIST, limit=2)
    second = desk.does(does.LIST, limit=2, cursor=first.next_cursor)
    assert ([each.username for each in (*first.data, *second.data)], second.next_cursor) == (names, None)


def test_every_change_is_in_the_audit_log_with_what_differs(desk: Desk) -> None:
    added(desk, "boss")
    ann = added(desk)
    desk.later(seconds=1).does(does.CHANGE, admin_id=ann.id, role="viewer")
    desk.later(seconds=2).does(does.DISABLE, admin_id=ann.id)
    desk.later(seconds=3).does(does.ENABLE, admin_id=ann.id)
    desk.later(seconds=4).does(does.RESET_PASSWORD, admin_id=ann.id)
    desk.later(seconds=5).does(does.RESET_TOTP, admin_id=ann.id)
    desk.later(seconds=6).does(does.DELETE, admin_id=ann.id)
    log = desk.audited(target=ann.id)[::-1]
    verbs = ["create", "set_role", "disable", "enable", "reset_password", "reset_second_factor", "delete"]
    assert [each.action for each in log] == [f"admin.{verb}" for verb in verbs]
    assert (log[1].before, log[1].after) == ({"role": "owner"}, {"role": "viewer"})
    assert (log[2].before, log[2].after) == ({"status": "active"}, {"status": "disabled"})
    assert (log[4].before.keys(), log[6].after) == ({"password_changed_at"}, {})


@pytest.mark.parametrize("operation", [*CHANGES, *THEIRS])
def test_only_owners_get_near_admins(desk: Desk, operation: Operation) -> None:
    ann = added(desk)
    known = {"admin_id": ann.id, "username": "ben", "role": "viewer", "session_id": "ses_1", "token_id": "tok_1"}
    fields = {name: known[name] for name in operation.takes.__struct_fields__ if name in known}
    with pytest.raises(NotAllowed):
        desk.as_a(Role.EDITOR).does(operation, **fields)


@pytest.mark.parametrize("operation", [*CHANGES, of_them.ISSUE])
def test_what_weakens_the_door_wants_the_password_given_lately(desk: Desk, operation: Operation) -> None:
    ann = added(desk)
    until = NOW.isoformat()
    known = {"admin_id": ann.id, "username": "ben", "role": "viewer", "name": "ci", "expires_at": until}
    fields = {name: known[name] for name in operation.takes.__struct_fields__ if name in known}
    stale = replace(an_actor(Role.OWNER), confirmed_at=NOW - timedelta(minutes=10))
    with pytest.raises(NotConfirmed):
        perform(operation, Work(desk.database, stale, NOW, desk.tools), from_json(operation.takes, fields))


@pytest.mark.parametrize(("operation", "fields"), [(does.CHANGE, {"role": "viewer"}), (does.DISABLE, {}), (does.DELETE, {})])
def test_the_last_owner_stays_and_nothing_is_noted(desk: Desk, operation: Operation, fields: dict[str, str]) -> None:
    ann = added(desk)
    with pytest.raises(LastOwner):
        desk.does(operation, admin_id=ann.id, **fields)
    assert [each.action for each in desk.audited()] == ["admin.create"]


@pytest.mark.parametrize(
    ("operation", "fields"),
    [(does.CHANGE, {"role": "viewer"}), (does.DISABLE, {}), (does.ENABLE, {}), (does.RESET_PASSWORD, {}), (does.DELETE, {})],
)
def test_the_managed_owner_is_changed_by_the_settings_alone(desk: Desk, operation: Operation, fields: dict[str, str]) -> None:
    managed = desk.database.run(lambda c: ensure_managed_owner(c, "admin", "$2b$04$" + "." * 53, NOW))
    added(desk)
    with pytest.raises(Managed, match="PROXY_ADMIN_PASSWORD_HASH"):
        desk.does(operation, admin_id=managed.id, **fields)


def test_a_lost_second_factor_is_taken_away_of_the_managed_owner_too(desk: Desk) -> None:
    managed = desk.database.run(lambda c: ensure_managed_owner(c, "admin", "$2b$04$" + "." * 53, NOW))
    secret = second_factor.new_secret()
    code = pyotp.TOTP(secret).at(NOW)
    desk.database.run(lambda c: second_factor.turn_on(c, managed.id, secret, code, SERVER_SECRET, NOW))
    before = desk.does(does.GET, admin_id=managed.id)
    after = desk.does(does.RESET_TOTP, admin_id=managed.id)
    assert (before.has_totp, before.recovery_codes_left, after.has_totp, after.recovery_codes_left) == (True, 10, False, 0)


def test_with_too_many_passwords_waiting_nothing_is_changed(desk: Desk) -> None:
    def busy(_: str, __: str) -> str:
        raise Busy

    crowded = replace(desk, hash_password=busy)
    with pytest.raises(Refused, match="try again"):
        added(crowded)
    assert desk.audited() == []


def test_sessions_of_an_admin_are_listed_and_ended_one_by_one_or_all(desk: Desk) -> None:
    ann = added(desk)
    ids = [sign_in(desk, ann, letter * 64) for letter in "abc"]
    assert {each.id for each in desk.does(of_them.SESSIONS, admin_id=ann.id).data} == set(ids)
    desk.does(of_them.END, admin_id=ann.id, session_id=ids[0])
    assert desk.later(seconds=1).does(of_them.END_ALL, admin_id=ann.id).ended == 2
    assert desk.does(of_them.SESSIONS, admin_id=ann.id).data == []
    assert [each.action for each in desk.audited(action="session")] == ["session.end_all", "session.end"]


def test_of_ones_own_sessions_the_one_that_asks_stays(desk: Desk) -> None:
    ann = added(desk)
    desk.database.run(lambda c: admin_sessions.begin_as(c, "ses_1", ann.id, "a" * 64, (Kind.SESSION, Caller("203.0.113.9")), NOW))
    sign_in(desk, ann, "b" * 64)
    as_them(desk, ann, of_them.END_ALL, admin_id=ann.id)
    assert [(each.id, each.is_this) for each in as_them(desk, ann, of_them.MY_SESSIONS).data] == [("ses_1", True)]


def test_a_token_is_made_listed_and_revoked_by_its_admin(desk: Desk) -> None:
    ann = added(desk)
    made = make_token(desk, ann, "editor")
    assert made.token.startswith(made.prefix)
    as_them(desk.later(seconds=1), ann, of_them.REVOKE_MINE, token_id=made.id)
    [listed] = as_them(desk, ann, of_them.MY_TOKENS).data
    assert (listed.role, listed.status, made.token in repr(listed) + repr(made) + repr(desk.audited())) == (
        "editor",
        "revoked",
        False,
    )
    assert [each.action for each in desk.audited(target=made.id)] == ["api_token.revoke", "api_token.create"]


def test_a_token_of_another_is_revoked_by_an_owner_alone(desk: Desk) -> None:
    ann, ben = added(desk), added(desk, "ben", "viewer")
    made = make_token(desk, ben)
    with pytest.raises(NotFound):
        as_them(desk, ann, of_them.REVOKE_MINE, token_id=made.id)
    desk.does(of_them.REVOKE, admin_id=ben.id, token_id=made.id)
    assert [each.status for each in desk.does(of_them.TOKENS, admin_id=ben.id).data] == ["revoked"]


def test_nobody_ends_a_session_of_another_under_their_own_name(desk: Desk) -> None:
    ann, ben = added(desk), added(desk, "ben", "viewer")
    session = sign_in(desk, ann)
    with pytest.raises(NotFound):
        as_them(desk, ben, of_them.END_MINE, session_id=session)
    assert [each.id for each in desk.does(of_them.SESSIONS, admin_id=ann.id).data] == [session]


def test_a_token_does_no_more_than_who_asks_may_now(desk: Desk) -> None:
    ann = added(desk)
    viewer = does.AdminMade(**{**{name: getattr(ann, name) for name in ann.__struct_fields__}, "role": Role.VIEWER})
    with pytest.raises(NotAllowed):
        make_token(desk, viewer, "editor")


def test_an_api_token_makes_no_other_and_so_cannot_outlive_itself(desk: Desk) -> None:
    ann = added(desk)
    with pytest.raises(NotAllowed, match="sign in"):
        make_token(desk, ann, via="api_token")
