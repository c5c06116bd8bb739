"""What becomes of administrators, and of what they signed in with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core import admins
from core.access import Invalid, NameTaken, NotFound
from core.actor import Role
from core.admins import Admin, LastOwner, Managed
from core.db import Database, open_database
from core.managed_owner import ensure_managed_owner
from core.settings import Settings
from tests.core.admin_office import HASH, AdminOffice

OTHER_HASH = "$2b$04$" + "/" * 53


@pytest.fixture
def office(database: Database) -> AdminOffice:
    return AdminOffice(database)


def managed(office: AdminOffice, name: str = "admin", password_hash: str = HASH) -> Admin:
    admin: Admin = office.run(ensure_managed_owner, name, password_hash, office.now)
    return admin


def credentials_left(office: AdminOffice, session: str, jwt: str, token: str) -> list[bool]:
    return [found is not None for found in (office.by_cookie(session), office.by_bearer(jwt), office.by_bearer(token))]


def test_a_new_admin_is_active_and_found_by_name_and_id(office: AdminOffice) -> None:
    ann = office.add("ann", Role.EDITOR)

    assert (ann.role, ann.status, ann.is_managed, ann.has_totp) == (Role.EDITOR, "active", False, False)
    assert office.found("ann") == office.found(ann.id) == ann


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "x" * 101, "<script>", "é"])
def test_a_user_name_that_could_be_mistaken_is_refused(office: AdminOffice, name: str) -> None:
    with pytest.raises(Invalid):
        office.add(name)


def test_names_that_differ_in_case_alone_are_the_same(office: AdminOffice) -> None:
    office.add("ann")

    with pytest.raises(NameTaken):
        office.add("Ann")


def test_every_change_says_what_was_before_and_what_is_after(office: AdminOffice) -> None:
    office.add("boss")
    ann = office.add("ann", Role.VIEWER)

    promoted = office.run(admins.change_role, ann.id, Role.EDITOR, office.now)
    disabled = office.run(admins.disable_admin, ann.id, office.now)

    assert (promoted.before.role, promoted.after.role) == (Role.VIEWER, Role.EDITOR)
    assert (disabled.before.status, disabled.after.status, office.found("ann")) == ("active", "disabled", disabled.after)


@pytest.mark.parametrize(
    "leave",
    [
        lambda c, a, now: admins.change_role(c, a, Role.EDITOR, now),
        admins.disable_admin,
        lambda c, a, _: admins.delete_admin(c, a),
    ],
    ids=["demoted", "disabled", "deleted"],
)
def test_the_last_active_owner_stays(office: AdminOffice, leave: Callable[..., Any]) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    office.run(admins.disable_admin, bob.id, office.now)

    with pytest.raises(LastOwner):
        office.run(leave, ann.id, office.now)
    assert office.found("ann") == ann


def test_what_was_signed_in_with_ends_when_an_admin_is_disabled_and_stays_ended(office: AdminOffice) -> None:
    office.add("boss")
    ann = office.add()
    signed_in = office.sign_in(ann), office.jwt(ann), office.api_token(ann)

    office.run(admins.disable_admin, ann.id, office.now)
    disabled = credentials_left(office, *signed_in)
    office.run(admins.enable_admin, ann.id, office.now)

    assert (disabled, credentials_left(office, *signed_in)) == ([False] * 3, [False] * 3)


def test_a_new_password_ends_everything_but_the_session_that_gave_it(office: AdminOffice) -> None:
    ann = office.add()
    mine, others = office.sign_in(ann), (office.sign_in(ann), office.jwt(ann), office.api_token(ann))
    actor = office.by_cookie(mine)
    assert actor is not None

    office.run(admins.set_password, ann.id, OTHER_HASH, office.now, actor.credential_id)

    assert credentials_left(office, *others) == [False] * 3
    assert office.by_cookie(mine) == actor


def test_a_smaller_role_ends_sessions_and_the_tokens_that_may_do_more(office: AdminOffice) -> None:
    office.add("boss")
    ann = office.add()
    signed_in = office.sign_in(ann), office.jwt(ann), office.api_token(ann, Role.OWNER)
    small = office.api_token(ann, Role.VIEWER)

    office.run(admins.change_role, ann.id, Role.EDITOR, office.now)

    assert credentials_left(office, *signed_in) == [False] * 3
    assert office.by_bearer(small) is not None


def test_a_deleted_admin_leaves_nothing_to_sign_in_with(office: AdminOffice) -> None:
    office.add("boss")
    ann = office.add()
    signed_in = office.sign_in(ann), office.jwt(ann), office.api_token(ann)

    office.run(admins.delete_admin, ann.id)

    assert credentials_left(office, *signed_in) == [False] * 3
    with pytest.raises(NotFound):
        office.found("ann")


def test_a_lost_second_factor_is_taken_away_with_the_sessions(office: AdminOffice) -> None:
    ann = office.add()
    office.enrol(ann)
    session = office.sign_in(ann)

    changed = office.run(admins.reset_totp, ann.id, office.now)

    assert (changed.before.has_totp, changed.after.has_totp, office.by_cookie(session)) == (True, False, None)


# The managed owner


def test_the_settings_make_an_owner_once(office: AdminOffice) -> None:
    first = managed(office)
    again = managed(office)

    assert (first.role, first.is_managed, again) == (Role.OWNER, True, first)


@pytest.mark.parametrize(
    "act",
    [
        lambda c, a, now: admins.change_role(c, a, Role.VIEWER, now),
        admins.disable_admin,
        admins.enable_admin,
        lambda c, a, now: admins.set_password(c, a, OTHER_HASH, now),
        lambda c, a, _: admins.delete_admin(c, a),
    ],
    ids=["role", "disable", "enable", "password", "delete"],
)
def test_the_managed_owner_is_changed_by_the_settings_alone(office: AdminOffice, act: Callable[..., Any]) -> None:
    owner = managed(office)
    office.add("other")

    with pytest.raises(Managed, match="PROXY_ADMIN_USERNAME"):
        office.run(act, owner.id, office.now)
    assert office.found("admin") == owner


def test_another_hash_in_the_settings_is_another_password_and_signs_everybody_out(office: AdminOffice) -> None:
    owner = managed(office)
    session = office.sign_in(owner)
    managed(office)
    same = office.by_cookie(session)

    after = managed(office, password_hash=OTHER_HASH)

    assert (same is None, office.by_cookie(session), after.id) == (False, None, owner.id)
    login = office.database.read(lambda c: admins.find_login(c, "admin"))
    assert login is not None
    assert login.password_hash == OTHER_HASH


def test_another_name_in_the_settings_is_the_same_owner_under_it(office: AdminOffice) -> None:
    owner = managed(office)

    assert managed(office, "chief").id == owner.id
    with pytest.raises(NotFound):
        office.found("admin")


def test_an_admin_of_the_settings_name_becomes_the_managed_owner_and_the_one_before_is_disabled(office: AdminOffice) -> None:
    before, ann = managed(office), office.add("ann", Role.VIEWER)

    after = managed(office, "ann")

    assert (after.id, after.role, after.is_managed) == (ann.id, Role.OWNER, True)
    assert (office.found(before.id).status, office.found(before.id).is_managed) == ("disabled", False)


# Many at once


@pytest.fixture
def crowded(postgres_server: Any) -> Iterator[Database]:
    url = postgres_server.migrated()
    opened = open_database(Settings(database_url=url), pool_size=4)
    yield opened
    opened.close()
    postgres_server.drop(url)


def at_once(*acts: Callable[[], Any]) -> list[str]:
    """What became of each: `done`, or the name of the refusal."""
    together, ends = threading.Barrier(len(acts)), list[str]()

    def one(act: Callable[[], Any]) -> None:
        together.wait(10)
        try:
            act()
            ends.append("done")
        except LastOwner:
            ends.append("last owner")

    threads = [threading.Thread(target=one, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(ends)


def test_of_two_owners_who_remove_each_other_at_once_one_stays(crowded: Database) -> None:
    office = AdminOffice(crowded)
    ann, bob = office.add("ann"), office.add("bob")

    ends = at_once(*(lambda one=one: office.run(admins.disable_admin, one.id, office.now) for one in (ann, bob)))

    assert ends == ["done", "last owner"]


def test_workers_that_start_together_make_one_managed_owner(crowded: Database) -> None:
    office = AdminOffice(crowded)

    assert at_once(*([lambda: managed(office)] * 4)) == ["done"] * 4
    assert [each.username for each in crowded.read(admins.list_admins)] == ["admin"]
