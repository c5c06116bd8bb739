"""Users and their keys: who gets in, with what, until when (SPEC section 8)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection, event, select

from core import access, access_keys, bedrock_keys, models, users
from core.access import Invalid, LimitReached, NameTaken, NotFound, StoredGrant
from core.access_keys import IssuedKey
from core.crypto import hash_access_key, is_wellformed
from core.db import Database
from core.types import Strategy, UserStatus
from tests.core.office import NOW, SECOND, SERVER_SECRET, Office


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def test_a_user_is_found_by_name_and_by_id(office: Office) -> None:
    ann = office.add("  Ann Example ")

    assert ann.name == "Ann Example"
    assert office.database.read(lambda c: users.find_user(c, "Ann Example")) == ann
    assert office.database.read(lambda c: users.find_user(c, ann.id)) == ann
    with pytest.raises(NotFound, match="nobody"):
        office.database.read(lambda c: users.find_user(c, "nobody"))


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb", "a\x00b"])
def test_a_name_has_up_to_200_printable_characters(office: Office, name: str) -> None:
    with pytest.raises(Invalid):
        office.add(name)
    assert office.add("x" * 200).name == "x" * 200


def test_names_are_unique(office: Office) -> None:
    office.add("ann")

    with pytest.raises(NameTaken, match="ann"):
        office.add("ann")


def test_there_are_at_most_as_many_users_as_the_limit_says(office: Office) -> None:
    added = [office.add(name) for name in ("c", "a", "b")]

    with pytest.raises(LimitReached, match="PROXY_MAX_USERS"):
        office.add("d")
    assert office.database.read(users.list_users) == sorted(added, key=lambda user: user.name)


def test_an_issued_key_is_stored_as_hash_and_prefix_alone(office: Office) -> None:
    key = office.issue(office.add("ann"))

    row = office.database.read(lambda c: c.execute(select(models.access_keys)).one())
    assert is_wellformed(key.access_key)
    assert row.prefix == key.access_key[:9]
    assert key.access_key not in str(tuple(row))
    assert key.access_key not in repr(key)


def test_a_user_has_at_most_as_many_active_keys_as_the_limit_says(office: Office) -> None:
    ann = office.add("ann")
    first, _ = office.issue(ann), office.issue(ann)
    with pytest.raises(LimitReached, match="PROXY_MAX_KEYS_PER_USER"):
        office.issue(ann)

    office.revoke(first)
    assert office.issue(ann).id != first.id


@pytest.mark.parametrize("options", [{"expires_at": NOW}, {"name": "x" * 201}, {"name": "a\nb"}])
def test_a_key_with_unusable_options_is_refused(office: Office, options: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        office.issue(office.add("ann"), **options)


def test_an_inactive_user_gets_no_key(office: Office) -> None:
    ann = office.add("ann")
    office.database.run(lambda c: users.deactivate_user(c, ann.id, NOW))

    with pytest.raises(Invalid, match="not active"):
        office.issue(ann)


def test_a_valid_key_has_a_grant_with_the_users_strategy(office: Office) -> None:
    ann = office.add("ann", Strategy.BEDROCK_ONLY)
    key = office.issue(ann)

    assert office.grant(key) == StoredGrant(ann.id, key.id, Strategy.BEDROCK_ONLY, None, ())


def test_a_keys_own_strategy_wins(office: Office) -> None:
    grant = office.grant(office.issue(office.add("ann"), strategy=Strategy.PLAN_ONLY))

    assert grant is not None
    assert grant.strategy is Strategy.PLAN_ONLY


def test_unknown_revoked_expired_and_inactive_look_all_the_same(office: Office) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    revoked, expired, inactive = office.issue(ann), office.issue(ann, expires_at=NOW + SECOND), office.issue(bob)
    office.revoke(revoked)
    office.database.run(lambda c: users.deactivate_user(c, bob.id, NOW))

    assert office.grant(expired) is not None
    answers = [office.grant(key, NOW + SECOND) for key in (IssuedKey("", "unknown"), revoked, expired, inactive)]
    assert answers == [None, None, None, None]


def test_a_user_who_is_active_again_has_their_keys_again(office: Office) -> None:
    ann = office.add("ann")
    key = office.issue(ann)
    office.database.run(lambda c: users.deactivate_user(c, ann.id, NOW))
    office.database.run(lambda c: users.activate_user(c, ann.id, NOW))

    assert office.grant(key) is not None
    assert office.database.read(lambda c: users.find_user(c, "ann")).status is UserStatus.ACTIVE


def test_rotation_keeps_the_id_and_leaves_the_old_secret_a_grace(office: Office) -> None:
    old = office.issue(office.add("ann"))
    new = office.rotate(old, grace_s=300)
    over = NOW + timedelta(seconds=300)

    by_old, by_new = office.grant(old), office.grant(new)
    assert by_old is not None and by_new is not None
    assert (by_old.access_key_id, by_new.access_key_id) == (old.id, old.id)
    assert (by_old.expires_at, by_new.expires_at) == (over, None)
    assert office.grant(old, over) is None
    assert office.grant(new, over) is not None


def test_the_old_secret_never_outlives_the_key(office: Office) -> None:
    old = office.issue(office.add("ann"), expires_at=NOW + SECOND)
    office.rotate(old, grace_s=300)

    grant = office.grant(old)
    assert grant is not None
    assert grant.expires_at == NOW + SECOND


def test_a_second_rotation_ends_the_first_secret_at_once(office: Office) -> None:
    first = office.issue(office.add("ann"))
    second = office.rotate(first)
    third = office.rotate(second)

    assert [office.grant(key) is not None for key in (first, second, third)] == [False, True, True]


def test_revoking_ends_old_and_new_secret_and_cannot_be_undone_by_rotating(office: Office) -> None:
    old = office.issue(office.add("ann"))
    new = office.rotate(old)
    office.revoke(new)
    office.revoke(new)

    assert (office.grant(old), office.grant(new)) == (None, None)
    with pytest.raises(Invalid, match="revoked"):
        office.rotate(new)


def test_what_is_not_there_is_named(office: Office) -> None:
    missing = IssuedKey("key_missing", "")

    with pytest.raises(NotFound, match="key_missing"):
        office.rotate(missing)
    with pytest.raises(NotFound, match="key_missing"):
        office.revoke(missing)
    with pytest.raises(NotFound, match="usr_missing"):
        office.database.run(lambda c: users.deactivate_user(c, "usr_missing", NOW))


def test_keys_are_listed_without_their_text(office: Office) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    first, second = office.issue(ann, name="laptop"), office.issue(bob)

    listed = office.database.read(access_keys.list_keys)
    assert [(key.id, key.user_name, key.options.name) for key in listed] == [(first.id, "ann", "laptop"), (second.id, "bob", "")]
    assert [key.id for key in office.database.read(lambda c: access_keys.list_keys(c, bob.id))] == [second.id]
    assert first.access_key not in repr(listed)


def test_every_change_is_announced_to_the_other_workers(office: Office) -> None:
    seen = [office.revision()]
    ann = office.add("ann")
    seen.append(office.revision())
    key = office.issue(ann)
    seen.append(office.revision())
    office.rotate(key)
    seen.append(office.revision())
    bedrock = office.attach(ann)
    seen.append(office.revision())
    office.database.run(lambda c: bedrock_keys.remove_bedrock_key(c, bedrock, NOW))
    seen.append(office.revision())
    office.revoke(key)
    seen.append(office.revision())
    office.database.run(lambda c: users.deactivate_user(c, ann.id, NOW))
    seen.append(office.revision())

    assert seen == list(range(seen[0], seen[0] + 8))


def test_a_grant_takes_at_most_two_queries(office: Office) -> None:
    ann = office.add("ann")
    key = office.issue(ann)
    office.attach(ann)
    hashed = hash_access_key(SERVER_SECRET, key.access_key)
    asked: list[str] = []

    def look(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", lambda *call: asked.append(call[2]))
        access.load_grant(connection, hashed, NOW)

    office.database.read(look)
    assert len(asked) == 2
