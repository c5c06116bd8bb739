"""What can be changed of an access key once it is issued (SPEC section 8). Issuing, rotating, revoking: test_access.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.access import Invalid, LimitReached, NotFound
from core.access_keys import AccessKey, IssuedKey, KeyOptions, change_key, find_key
from core.db import Database
from core.types import Strategy
from tests.core.office import LIMITS, NOW, SECOND, Office


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def changed(office: Office, key: IssuedKey, at: Any = NOW, **values: Any) -> AccessKey:
    return office.database.run(lambda c: change_key(c, key.id, lambda options: replace(options, **values), LIMITS, at))


def found(office: Office, key: IssuedKey) -> AccessKey:
    return office.database.read(lambda c: find_key(c, key.id))


def test_every_option_can_be_given_at_issue_and_changed_later(office: Office) -> None:
    first = KeyOptions("laptop", NOW + SECOND, Strategy.PLAN_ONLY, 1_000_000, 5)
    later = KeyOptions("desk", None, None, 0, 10_000)
    key = office.issue(office.add("ann"), **{name: getattr(first, name) for name in KeyOptions.__slots__})
    assert found(office, key).options == first

    after = changed(office, key, **{name: getattr(later, name) for name in KeyOptions.__slots__})
    assert after.options == later
    assert after == found(office, key)


def test_a_changed_option_is_in_the_grant_and_announced(office: Office) -> None:
    key = office.issue(office.add("ann"))
    revision = office.revision()

    changed(office, key, strategy=Strategy.PLAN_ONLY, requests_per_minute=7, expires_at=NOW + SECOND)
    grant = office.grant(key)
    assert grant is not None
    assert (grant.strategy, grant.requests_per_minute, grant.expires_at) == (Strategy.PLAN_ONLY, 7, NOW + SECOND)
    assert office.revision() == revision + 1


@pytest.mark.parametrize(
    "values",
    [
        {"requests_per_minute": 0},
        {"requests_per_minute": -1},
        {"requests_per_minute": 10_001},
        {"monthly_budget_micros": -1},
        {"expires_at": NOW},
        {"name": "a\tb"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_at_issue_and_later(office: Office, values: dict[str, Any]) -> None:
    ann = office.add("ann")
    with pytest.raises(Invalid):
        office.issue(ann, **values)

    key = office.issue(ann)
    before = found(office, key)
    with pytest.raises(Invalid):
        changed(office, key, **values)
    assert found(office, key) == before


def test_a_revoked_key_cannot_be_changed(office: Office) -> None:
    key = office.issue(office.add("ann"))
    office.revoke(key)

    with pytest.raises(Invalid, match="revoked"):
        changed(office, key, name="again")
    with pytest.raises(NotFound, match="key_missing"):
        changed(office, IssuedKey("key_missing", ""), name="again")


def test_an_expired_key_may_be_renamed_and_brought_back_by_a_later_expiry(office: Office) -> None:
    key = office.issue(office.add("ann"), expires_at=NOW + SECOND)
    later = NOW + 10 * SECOND
    assert changed(office, key, at=later, name="old").status(later) == "expired"
    assert office.grant(key, later) is None

    assert changed(office, key, at=later, expires_at=later + SECOND).status(later) == "active"
    assert office.grant(key, later) is not None


def test_an_expired_key_comes_back_only_where_there_is_room(office: Office) -> None:
    ann = office.add("ann")
    key, later = office.issue(ann, expires_at=NOW + SECOND), NOW + 10 * SECOND
    office.issue(ann)
    changed(office, key, name="old")
    third = office.issue_at(ann, later)

    with pytest.raises(LimitReached, match="PROXY_MAX_KEYS_PER_USER"):
        changed(office, key, at=later, expires_at=None)
    office.revoke(third)
    assert changed(office, key, at=later, expires_at=None).status(later) == "active"


def test_rotation_leaves_the_options_as_they_are(office: Office) -> None:
    key = office.issue(office.add("ann"), name="laptop", requests_per_minute=3)
    before = found(office, key).options

    office.rotate(key)
    assert found(office, key).options == before
