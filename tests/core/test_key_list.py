"""Access keys and Bedrock keys as they are searched, sorted and paged: on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.access import NotFound
from core.bedrock_key_list import BedrockFilter, bedrock_lines
from core.bedrock_keys import mark_bedrock_key_limited, remove_bedrock_key
from core.db import Database, upsert
from core.key_list import KeyFilter, KeyLine, KeySort, KeyStatus, key_line, key_lines
from core.keyset import Page, Place
from core.spend_models import spend_monthly
from core.types import KeyHealth, Strategy
from tests.core.office import NOW, SECOND, Office

MONTH = "2026-05"
KeyPage = Page[KeyLine]
Find = Callable[..., KeyPage]


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


@pytest.fixture
def find(database: Database) -> Find:
    def found(limit: int = 50, after: Place | None = None, **wanted: object) -> KeyPage:
        return database.read(lambda c: key_lines(c, KeyFilter(**wanted), NOW, MONTH, limit, after))  # type: ignore[arg-type]

    return found


def ids(page: KeyPage) -> list[str]:
    return [line.key.id for line in page.lines]


def spend(office: Office, key_id: str, micros: int, month: str = MONTH) -> None:
    row = {"month": month, "access_key_id": key_id, "user_id": "u", "cost_micros": micros}
    office.database.run(lambda c: upsert(c, spend_monthly, [row], ["month", "access_key_id"], adding={"cost_micros"}))


def test_by_default_the_newest_come_first_and_revoked_ones_do_not(office: Office, find: Find) -> None:
    ada, bob = office.add("Ada"), office.add("Bob")
    first, revoked, last = office.issue(ada), office.issue(bob), office.issue(bob)
    office.revoke(revoked)

    assert ids(find()) == [last.id, first.id]
    assert ids(find(status=KeyStatus.REVOKED)) == [revoked.id]


def test_expired_keys_are_found_as_such(office: Office, find: Find) -> None:
    ada = office.add("Ada")
    expired = office.issue_at(ada, NOW - 20 * SECOND, expires_at=NOW - SECOND)
    active = office.issue(ada, expires_at=NOW + SECOND)

    assert (ids(find(status=KeyStatus.EXPIRED)), ids(find(status=KeyStatus.ACTIVE))) == ([expired.id], [active.id])


@pytest.mark.parametrize("of", [lambda key: key.access_key[3:9].upper(), lambda key: key.id, lambda _: "LAP", lambda _: "da lo"])
def test_a_key_is_found_by_its_first_characters_id_name_and_user(office: Office, find: Find, of: Callable[[object], str]) -> None:
    key = office.issue(office.add("Ada Lovelace"), name="laptop")
    office.issue(office.add("Bob"), name="100% mine_")

    assert ids(find(search=of(key))) == [key.id]


@pytest.mark.parametrize(("search", "count"), [("%", 1), ("_", 1), ("100%", 1), ("%%", 0)])
def test_signs_of_patterns_are_looked_for_as_they_are(office: Office, find: Find, search: str, count: int) -> None:
    office.issue(office.add("Bob"), name="100% mine")
    office.issue(office.add("Eve"), name="snake_case")

    found = [line.key.options.name for line in find(search=search).lines if search in line.key.options.name]

    assert len(found) == count


def test_spend_last_sight_and_user_sort_the_list(office: Office, find: Find) -> None:
    zoe, ada = office.add("zoe"), office.add("Ada")
    rich, poor = office.issue(zoe), office.issue(ada)
    spend(office, rich.id, 5_000_000)
    spend(office, poor.id, 1_000_000)
    spend(office, poor.id, 9_000_000, "2026-04")

    assert ids(find(sort=KeySort.SPEND)) == [rich.id, poor.id]
    assert ids(find(sort=KeySort.USER)) == [poor.id, rich.id]
    assert [line.spent_micros for line in find(sort=KeySort.SPEND).lines] == [5_000_000, 1_000_000]


def test_the_next_to_expire_come_first_and_those_that_never_do_last(office: Office, find: Find) -> None:
    ada = office.add("Ada")
    never, late = office.issue(ada), office.issue(ada, expires_at=NOW + 9 * SECOND)
    soon = office.issue(office.add("Bob"), expires_at=NOW + SECOND)

    assert ids(find(sort=KeySort.EXPIRY)) == [soon.id, late.id, never.id]


def test_pages_follow_each_other_and_the_last_says_so(office: Office, find: Find) -> None:
    issued = [office.issue(user).id for user in (office.add("Ada"), office.add("Bob"), office.add("Eve"))]

    first = find(limit=2)
    second = find(limit=2, after=first.last)

    assert (ids(first) + ids(second), first.has_more, second.has_more) == (issued[::-1], True, False)


def test_the_strategy_in_force_is_the_keys_or_its_users(office: Office, database: Database) -> None:
    ada = office.add("Ada", Strategy.BEDROCK_ONLY)
    own, inherited = office.issue(ada, strategy=Strategy.PLAN_ONLY), office.issue(ada)

    found = [database.read(lambda c, key=key: key_line(c, key.id, MONTH)).strategy for key in (own, inherited)]  # type: ignore[misc]

    assert found == [Strategy.PLAN_ONLY, Strategy.BEDROCK_ONLY]
    with pytest.raises(NotFound):
        database.read(lambda c: key_line(c, "key_nowhere", MONTH))


def test_bedrock_keys_are_found_by_whose_they_are_and_how(office: Office, database: Database) -> None:
    ada, bob = office.add("Ada"), office.add("Bob")
    mine, other = office.issue(ada), office.issue(ada)
    shared, own = office.attach(ada), office.attach(ada, access_key_id=mine.id)
    of_bob, removed = office.attach(bob), office.attach(bob)
    database.run(lambda c: remove_bedrock_key(c, removed, NOW))
    database.run(lambda c: mark_bedrock_key_limited(c, shared, "model: no access", NOW))

    def found(**wanted: object) -> list[str]:
        page = database.read(lambda c: bedrock_lines(c, BedrockFilter(**wanted), 50))  # type: ignore[arg-type]
        return [line.id for line in page.lines]

    assert (found(user_id=ada.id), found(user_id=bob.id)) == ([own, shared], [of_bob])
    assert (found(usable_by=mine.id), found(usable_by=other.id)) == ([own, shared], [shared])
    assert (found(access_key_id=mine.id), found(health=KeyHealth.LIMITED)) == ([own], [shared])
