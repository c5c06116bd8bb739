"""What one user or one key did, and the plan behind them: nobody else's, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.db import Database
from core.ledger import write_batch
from core.owner_report import requests_of, usage_of
from core.plan_window_rows import plan_of, write_windows
from core.plan_windows import PlanWindow, PlanWindows
from core.record import RequestRecord
from tests.core.office import NOW, Office

HOUR = timedelta(hours=1)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def record(number: int, user_id: str, key_id: str, **more: object) -> RequestRecord:
    given: dict[str, object] = {
        "provider": "bedrock",
        "model_asked": "m",
        "status": 200,
        "cost_micros": 5,
        "input_tokens": 7,
        **more,
    }
    return RequestRecord(f"req_{number:026d}", NOW.timestamp() + number, user_id, key_id, **given)  # type: ignore[arg-type]


def windows(at: float, share: float) -> PlanWindows:
    return PlanWindows(at, "allowed", "five_hour", False, (PlanWindow("5h", "allowed", share, at + 60),))


def test_sums_are_by_model_and_provider_of_one_owner_and_within_the_range(office: Office) -> None:
    rows = [record(1, "u1", "k1"), record(2, "u1", "k2", list_value_micros=9), record(3, "u2", "k3")]
    late = RequestRecord("req_late", (NOW + 2 * HOUR).timestamp(), "u1", "k1", provider="plan", model_asked="m", status=200)
    office.database.run(lambda c: write_batch(c, [*rows, late]))

    of_user = office.database.read(lambda c: usage_of(c, NOW, NOW + HOUR, user_id="u1"))
    of_key = office.database.read(lambda c: usage_of(c, NOW, NOW + 3 * HOUR, access_key_id="k1"))

    assert [(each.model, each.sums.provider, each.sums.requests, each.sums.cost_micros) for each in of_user] == [
        ("m", "bedrock", 2, 10)
    ]
    assert sorted((each.sums.provider, each.sums.requests) for each in of_key) == [("bedrock", 1), ("plan", 1)]


def test_the_latest_requests_come_first_without_counting_tokens(office: Office) -> None:
    rows = [record(number, "u1", "k1") for number in range(4)]
    others = [record(7, "u2", "k1"), record(8, "u1", "k1", endpoint="count_tokens"), record(9, "u1", "k2", provider="plan")]
    office.database.run(lambda c: write_batch(c, [*rows, *others]))

    found = office.database.read(lambda c: requests_of(c, 3, user_id="u1"))

    assert [int(each.request_id[4:]) for each in found] == [9, 3, 2]


def test_a_users_plan_is_that_of_the_key_seen_last_and_its_history_alone(office: Office) -> None:
    user, other = office.add("Ada"), office.add("Bob")
    early, late, foreign = office.issue(user), office.issue(user), office.issue(other)
    at = NOW.timestamp()
    for moment, key, share in ((at - 7200, late, 0.1), (at - 3600, early, 0.5), (at, late, 0.2), (at + 60, foreign, 0.9)):
        office.database.run(lambda c, w=(moment, key, share): write_windows(c, {w[1].id: windows(w[0], w[2])}))  # type: ignore[misc]

    seen = office.database.read(lambda c: plan_of(c, NOW - 3 * HOUR, user_id=user.id))
    recent = office.database.read(lambda c: plan_of(c, NOW - HOUR, access_key_id=late.id))

    assert seen is not None and recent is not None
    assert (seen.access_key_id, seen.windows) == (late.id, windows(at, 0.2))
    assert seen.history == ((NOW - 2 * HOUR, "5h", 0.1), (NOW, "5h", 0.2))
    assert recent.history == ((NOW, "5h", 0.2),)


def test_of_a_plan_that_never_told_its_windows_nothing_is_known(office: Office) -> None:
    user = office.add("Ada")
    office.issue(user)

    assert office.database.read(lambda c: plan_of(c, NOW, user_id=user.id)) is None
