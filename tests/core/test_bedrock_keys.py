"""Bedrock keys: whose they are, which grants carry them, and what takes them out of use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, text

from core import bedrock_keys
from core.access import Invalid, NotFound
from core.bedrock_keys import NewBedrockKey
from core.db import Database, open_database
from core.ports import ProbeResult
from core.settings import Settings
from core.types import KeyHealth, Residency
from tests.core.office import NOW, SECOND, VAULT, Office
from tests.live.bare import until


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def test_a_grant_carries_the_keys_own_and_the_users_bedrock_keys(office: Office) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    key, other = office.issue(ann), office.issue(ann)
    everyones = office.attach(ann, "eu-west-1")
    own = office.attach(ann, access_key_id=key.id)
    office.attach(ann, access_key_id=other.id)
    office.attach(bob)

    grant = office.grant(key)
    assert grant is not None
    assert [(each.id, each.region) for each in grant.bedrock_keys] == [(own, "us-east-1"), (everyones, "eu-west-1")]
    assert VAULT.open(grant.bedrock_keys[0].sealed, own) == "a-bedrock-key"


def test_removed_and_expired_bedrock_keys_are_in_no_grant(office: Office) -> None:
    ann = office.add("ann")
    key, removed = office.issue(ann), office.attach(ann)
    expiring = office.attach(ann, expires_at=NOW + SECOND)
    office.database.run(lambda c: bedrock_keys.remove_bedrock_key(c, removed, NOW))

    before, after = office.grant(key), office.grant(key, NOW + SECOND)
    assert before is not None and after is not None
    assert [each.id for each in before.bedrock_keys] == [expiring]
    assert after.bedrock_keys == ()


def test_a_bedrock_key_goes_to_no_access_key_of_somebody_else(office: Office) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    bobs = office.issue(bob)

    with pytest.raises(NotFound, match=bobs.id):
        office.attach(ann, access_key_id=bobs.id)


@pytest.mark.parametrize("region", ["", "US-EAST-1", "us-east-1.evil.example", "us-east-1/x", "useast1", "us-east-1\n"])
def test_a_region_that_is_none_is_refused(office: Office, region: str) -> None:
    with pytest.raises(Invalid, match="region"):
        office.attach(office.add("ann"), region)


@pytest.mark.parametrize("secret", ["", "two words", "line\n", "\x00", "x" * 8193, "clé"])
def test_a_secret_that_no_header_could_carry_is_refused(secret: str) -> None:
    with pytest.raises(Invalid, match="Bedrock key"):
        bedrock_keys.seal_bedrock_key(VAULT, NewBedrockKey("us-east-1", Residency.GEO, secret))


@pytest.mark.parametrize(
    ("result", "health"),
    [
        (ProbeResult(True, "fine"), KeyHealth.HEALTHY),
        (ProbeResult(False, "not reachable"), KeyHealth.UNKNOWN),
        (ProbeResult(False, "not valid", refused=True), KeyHealth.UNHEALTHY),
    ],
)
def test_only_a_refusal_takes_a_bedrock_key_out_of_use(office: Office, result: ProbeResult, health: KeyHealth) -> None:
    key_id = office.attach(office.add("ann"))

    office.database.run(lambda c: bedrock_keys.record_bedrock_test(c, key_id, result, NOW))

    [listed] = office.database.read(bedrock_keys.list_bedrock_keys)
    assert (listed.key.health, listed.health_reason, listed.tested_at) == (health, result.reason, NOW)


def test_an_unhealthy_bedrock_key_is_news_only_once(office: Office) -> None:
    key_id = office.attach(office.add("ann"))

    def mark() -> bool:
        return office.database.run(lambda c: bedrock_keys.mark_bedrock_key_unhealthy(c, key_id, "x" * 600, NOW))

    assert mark() is True
    after = office.revision()
    assert mark() is False
    assert office.revision() == after
    assert len(office.database.read(lambda c: bedrock_keys.find_bedrock_key(c, key_id)).health_reason) == 500


def test_reasons_of_a_limited_bedrock_key_gather_once_a_model_and_take_it_out_of_nothing(office: Office) -> None:
    key_id = office.attach(office.add("ann"))

    def limit(reason: str) -> bool:
        return office.database.run(lambda c: bedrock_keys.mark_bedrock_key_limited(c, key_id, reason, NOW))

    told = [limit(reason) for reason in ("us.opus: denied", "us.opus: denied again", "us.fable: no form", "us.odd: " + "x" * 500)]
    found = office.database.read(lambda c: bedrock_keys.find_bedrock_key(c, key_id))
    assert told == [True, False, True, False]
    assert (found.key.health, found.health_reason) == (KeyHealth.LIMITED, "us.opus: denied; us.fable: no form")


def test_an_unhealthy_bedrock_key_stays_unhealthy_when_a_model_is_denied_too(office: Office) -> None:
    key_id = office.attach(office.add("ann"))
    office.database.run(lambda c: bedrock_keys.mark_bedrock_key_unhealthy(c, key_id, "expired", NOW))
    assert office.database.run(lambda c: bedrock_keys.mark_bedrock_key_limited(c, key_id, "us.opus: denied", NOW)) is False
    assert office.database.read(lambda c: bedrock_keys.find_bedrock_key(c, key_id)).key.health is KeyHealth.UNHEALTHY


# Two workers that find out at once: each on a connection of its own


@pytest.fixture
def crowded(postgres_server: Any) -> Iterator[Office]:
    url = postgres_server.migrated()
    opened = open_database(Settings(database_url=url), pool_size=3)
    yield Office(opened)
    opened.close()
    postgres_server.drop(url)


def one_behind_the_other(database: Database, first: Any, second: Any) -> list[bool]:
    """What each said. The second looks at the key before the first has committed, and waits for it then."""
    said: list[bool] = []

    def while_the_second_waits(connection: Connection) -> None:
        said.append(first(connection))
        beside.start()
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        assert until(lambda: database.read(lambda c: c.execute(waiting).scalar_one()) == 1)

    beside = threading.Thread(target=lambda: said.append(database.run(second)))
    database.run(while_the_second_waits)
    beside.join(30)
    return said


def test_two_workers_that_are_denied_a_model_each_lose_no_reason(crowded: Office) -> None:
    key_id = crowded.attach(crowded.add("ann"))

    said = one_behind_the_other(
        crowded.database,
        lambda c: bedrock_keys.mark_bedrock_key_limited(c, key_id, "us.opus: denied", NOW),
        lambda c: bedrock_keys.mark_bedrock_key_limited(c, key_id, "us.fable: no form", NOW),
    )

    found = crowded.database.read(lambda c: bedrock_keys.find_bedrock_key(c, key_id))
    assert (said, found.health_reason) == ([True, True], "us.opus: denied; us.fable: no form")


def test_a_key_that_one_worker_finds_refused_is_not_put_back_into_use_by_another_that_is_denied_a_model(crowded: Office) -> None:
    key_id = crowded.attach(crowded.add("ann"))

    said = one_behind_the_other(
        crowded.database,
        lambda c: bedrock_keys.mark_bedrock_key_unhealthy(c, key_id, "expired", NOW),
        lambda c: bedrock_keys.mark_bedrock_key_limited(c, key_id, "us.opus: denied", NOW),
    )

    found = crowded.database.read(lambda c: bedrock_keys.find_bedrock_key(c, key_id))
    assert (said, found.key.health, found.health_reason) == ([True, False], KeyHealth.UNHEALTHY, "expired")


def test_a_refused_key_is_news_of_the_first_worker_alone(crowded: Office) -> None:
    key_id = crowded.attach(crowded.add("ann"))

    def mark(connection: Connection) -> bool:
        return bedrock_keys.mark_bedrock_key_unhealthy(connection, key_id, "expired", NOW)

    assert one_behind_the_other(crowded.database, mark, mark) == [True, False]
