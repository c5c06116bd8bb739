"""How far an installation is, step by step, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from core.bedrock_keys import record_bedrock_test
from core.db import Database
from core.first_steps import FirstSteps, first_steps
from core.ledger import write_batch
from core.ports import ProbeResult
from core.record import RequestRecord
from core.types import Strategy
from core.users import delete_user
from tests.core.office import NOW, Office


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def steps(office: Office) -> FirstSteps:
    return office.database.read(first_steps)


def request(office: Office, endpoint: str) -> None:
    record = RequestRecord(f"req_{endpoint}", NOW.timestamp(), "usr_1", "key_1", endpoint=endpoint)
    office.database.run(lambda c: write_batch(c, [record]))


def test_at_first_everything_is_to_be_done(office: Office) -> None:
    assert steps(office) == FirstSteps("", False, False, False, False, False, has_second_factor=True)


def test_one_step_after_the_other_is_done_until_nothing_is_left(office: Office) -> None:
    user = office.add("Ada")
    with_user = steps(office)
    office.issue(user)
    key_id = office.attach(user)
    with_keys = steps(office)
    office.database.run(lambda c: record_bedrock_test(c, key_id, ProbeResult(True, "answered"), NOW))
    request(office, "messages")

    assert (with_user.user_id, with_user.has_key, with_user.wants_bedrock) == (user.id, False, True)
    assert (with_keys.has_key, with_keys.has_bedrock_key, with_keys.is_bedrock_done) == (True, True, False)
    assert (steps(office).are_done, with_keys.are_done) == (True, False)


def test_who_uses_the_plan_alone_needs_no_bedrock_key(office: Office) -> None:
    office.issue(office.add("Ada", Strategy.PLAN_ONLY))
    request(office, "messages")

    assert steps(office).are_done


def test_one_key_that_may_go_to_bedrock_is_enough_to_ask_for_it(office: Office) -> None:
    office.issue(office.add("Ada", Strategy.PLAN_ONLY), strategy=Strategy.PLAN_FIRST)

    assert (steps(office).wants_bedrock, steps(office).is_bedrock_done) == (True, False)


def test_counting_tokens_is_no_first_request_and_a_deleted_user_no_first_user(office: Office) -> None:
    user = office.add("Ada")
    office.database.run(lambda c: delete_user(c, user.id, NOW))
    request(office, "count_tokens")

    assert (steps(office).has_request, steps(office).has_user) == (False, False)
