"""What the pages show, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert

from core import bedrock_keys, circuit_rows
from core.circuit_rows import CircuitRow
from core.db import Database
from core.ledger import write_batch
from core.models import access_keys, users
from core.ports import ProbeResult
from core.record import RequestRecord
from core.reports import Overview, overview
from core.users import deactivate_user
from tests.core.office import NOW, Office

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def seen(office: Office, at: datetime = NOW, page: int = 1) -> Overview:
    return office.database.read(lambda connection: overview(connection, at, page))


def record(number: int, at: datetime = NOW, **more: Any) -> RequestRecord:
    plain = RequestRecord(f"req_{number:026d}", at.timestamp(), "usr_1", "key_1", provider="plan", status=200)
    return replace(plain, **more)


def write(office: Office, *records: RequestRecord) -> None:
    office.database.run(lambda connection: write_batch(connection, records))


def open_circuit(office: Office, provider: str, holder: str, until: datetime = NOW + HOUR, **more: Any) -> None:
    row = CircuitRow(provider, holder, "sonnet", circuit_rows.OPEN, "plan_exhausted", opened_at=NOW - HOUR, until=until, **more)
    office.database.run(lambda connection: circuit_rows.write_circuits(connection, [row], NOW))


def test_an_empty_installation_has_an_empty_overview(office: Office) -> None:
    found = seen(office)

    assert (found.workers, found.today, found.requests) == ((), (), ())
    assert (found.users.lines, found.users.total, found.circuits.lines, found.circuits.total) == ((), 0, (), 0)


def test_however_much_there_is_it_takes_seven_queries(office: Office) -> None:
    for name in ("first", "second", "third"):
        office.attach(office.add(name))
    write(office, *[record(number) for number in range(60)])
    statements: list[str] = []

    def counted(connection: Connection) -> Overview:
        event.listen(connection, "before_cursor_execute", lambda *said: statements.append(said[2]))
        return overview(connection, NOW)

    office.database.read(counted)

    assert len(statements) == 7


def test_today_is_summed_up_by_provider(office: Office) -> None:
    tokens = {"input_tokens": 1, "cache_write_5m_tokens": 20, "cache_write_1h_tokens": 300, "cache_read_tokens": 4000}
    bedrock = {"provider": "bedrock", "fault": "plan_exhausted", "cost_micros": 5, "list_value_micros": 7, "output_tokens": 9}
    write(office, record(1), record(2, **bedrock, **tokens), record(3, **bedrock, **tokens), record(4, status=500))

    plan, fallen = seen(office).today

    assert (plan.provider, plan.requests, plan.errors, plan.fallbacks) == ("plan", 2, 1, 0)
    assert (fallen.requests, fallen.fallbacks, fallen.input_tokens, fallen.output_tokens) == (2, 2, 8642, 18)
    assert (fallen.cost_micros, fallen.list_value_micros) == (10, 14)


def test_today_begins_at_midnight_utc(office: Office) -> None:
    midnight = datetime(2026, 5, 1, tzinfo=UTC)
    write(office, record(1, midnight - timedelta(seconds=1)), record(2, midnight))

    assert [sums.requests for sums in seen(office, midnight + HOUR).today] == [1]


def test_the_last_fifty_requests_are_shown_the_newest_first(office: Office) -> None:
    write(office, *[record(number, NOW + timedelta(seconds=number)) for number in range(60)])

    found = [line.request_id for line in seen(office).requests]

    assert found == [f"req_{number:026d}" for number in range(59, 9, -1)]


def test_a_request_is_shown_with_its_user_and_the_beginning_of_its_key(office: Office) -> None:
    user = office.add("first")
    key = office.issue(user)
    asked = {"model_asked": "claude-x", "total_ms": 12.5, "user_id": user.id, "access_key_id": key.id}
    write(office, record(1, **asked), record(2, **asked, model_served="global.claude-x"))

    served, asked_for = seen(office).requests

    assert (served.user_name, served.prefix, served.total_ms) == ("first", key.access_key[:9], 12.5)
    assert (served.model, asked_for.model) == ("global.claude-x", "claude-x")


def test_a_request_of_nobody_we_know_is_shown_without_names(office: Office) -> None:
    write(office, record(1))

    assert [(line.user_name, line.prefix, line.status) for line in seen(office).requests] == [("", "", 200)]


def test_counting_tokens_does_not_crowd_the_others_out(office: Office) -> None:
    write(office, record(1), *[record(2 + n, NOW + HOUR, endpoint="count_tokens") for n in range(60)])

    assert [line.request_id for line in seen(office).requests] == [f"req_{1:026d}"]


def test_users_are_shown_by_name_with_their_keys_and_nothing_secret(office: Office) -> None:
    second, first = office.add("second"), office.add("first")
    key = office.issue(first, name="laptop")
    office.attach(first)

    found = seen(office).users

    assert [(line.name, len(line.keys), len(line.bedrock_keys)) for line in found.lines] == [("first", 1, 1), ("second", 0, 0)]
    assert (found.lines[0].keys[0].prefix, found.lines[0].keys[0].status) == (key.access_key[:9], "active")
    assert key.access_key[9:] not in repr(found)
    assert "a-bedrock-key" not in repr(found)
    assert found.lines[1].id == second.id


def test_a_deleted_user_is_not_shown(office: Office) -> None:
    office.add("first")
    office.database.run(lambda c: c.execute(users.update().values(status="deleted")))

    assert seen(office).users.total == 0


def test_an_inactive_user_is_shown_as_such(office: Office) -> None:
    user = office.add("first")
    office.database.run(lambda c: deactivate_user(c, user.id, NOW))

    assert [line.status for line in seen(office).users.lines] == ["inactive"]


def test_a_key_that_ended_is_shown_for_a_week(office: Office) -> None:
    user = office.add("first")
    office.revoke(office.issue(user))
    office.issue(user, expires_at=NOW + HOUR)

    def statuses(at: datetime) -> Sequence[str]:
        return [key.status for key in seen(office, at).users.lines[0].keys]

    assert statuses(NOW) == ["active", "revoked"]
    assert sorted(statuses(NOW + 6 * DAY)) == ["expired", "revoked"]
    assert statuses(NOW + 8 * DAY) == []


def test_the_health_of_a_bedrock_key_is_shown_with_its_reason(office: Office) -> None:
    key_id = office.attach(office.add("first"))
    result = ProbeResult(False, "AWS says no", refused=True)
    office.database.run(lambda c: bedrock_keys.record_bedrock_test(c, key_id, result, NOW))

    (key,) = seen(office).users.lines[0].bedrock_keys

    assert (key.id, key.region, key.residency) == (key_id, "us-east-1", "geo")
    assert (key.health, key.reason, key.tested_at) == ("unhealthy", "AWS says no", NOW)


def test_a_removed_bedrock_key_is_not_shown(office: Office) -> None:
    key_id = office.attach(office.add("first"))
    office.database.run(lambda c: bedrock_keys.remove_bedrock_key(c, key_id, NOW))

    assert seen(office).users.lines[0].bedrock_keys == ()


def test_users_come_fifty_a_page(office: Office) -> None:
    plain = {"strategy": "plan_first", "status": "active", "created_at": NOW, "updated_at": NOW}
    rows = [{"id": f"usr_{number}", "name": f"user {number:03d}", **plain} for number in range(120)]
    office.database.run(lambda c: c.execute(insert(users), rows))

    first, third, beyond = (seen(office, page=page).users for page in (1, 3, 4))

    assert [line.name for line in first.lines] == [f"user {number:03d}" for number in range(50)]
    assert [line.name for line in third.lines] == [f"user {number:03d}" for number in range(100, 120)]
    assert (first.total, third.total, beyond.lines) == (120, 120, ())


def test_thousands_of_revoked_keys_do_not_hide_a_good_one(office: Office) -> None:
    user = office.add("first")
    plain = {"user_id": user.id, "prefix": "ak_000000", "revoked_at": NOW, "created_at": NOW, "updated_at": NOW}
    rows = [{"id": f"key_{number:05d}", "secret_hash": f"hash {number}", **plain} for number in range(1500)]
    office.database.run(lambda c: c.execute(insert(access_keys), rows))
    good = office.issue(user)

    (line,) = seen(office).users.lines

    assert (line.keys[0].id, len(line.keys)) == (good.id, 1000)


def test_an_open_circuit_is_shown_with_whom_it_holds_up(office: Office) -> None:
    user = office.add("first")
    key, bedrock_key_id = office.issue(user), office.attach(user)
    open_circuit(office, "plan", key.id)
    open_circuit(office, "bedrock", bedrock_key_id, credential="0123456789abcdef")

    found = {line.provider: line for line in seen(office).circuits.lines}

    assert (found["plan"].user_name, found["plan"].prefix, found["plan"].holder) == ("first", key.access_key[:9], key.id)
    assert (found["bedrock"].user_name, found["bedrock"].prefix, found["bedrock"].holder) == ("first", "", bedrock_key_id)
    assert (found["plan"].fault, found["plan"].opened_at, found["plan"].until) == ("plan_exhausted", NOW - HOUR, NOW + HOUR)
    assert "0123456789abcdef" not in repr(found)


def test_a_circuit_that_closed_or_whose_time_has_come_is_not_shown(office: Office) -> None:
    open_circuit(office, "plan", "key_over", until=NOW)
    open_circuit(office, "plan", "key_closed")
    office.database.run(lambda c: circuit_rows.close_circuit(c, "plan", "key_closed", "sonnet", NOW))

    assert seen(office).circuits.total == 0


def test_of_very_many_circuits_a_hundred_are_shown_and_all_are_counted(office: Office) -> None:
    for number in range(130):
        open_circuit(office, "plan", f"key_{number}")

    found = seen(office).circuits

    assert (len(found.lines), found.total) == (100, 130)


def test_a_limited_bedrock_key_is_shown_with_the_models_it_is_denied(office: Office) -> None:
    key_id = office.attach(office.add("first"))
    office.database.run(lambda c: bedrock_keys.mark_bedrock_key_limited(c, key_id, "us.opus: no access", NOW))
    (key,) = seen(office).users.lines[0].bedrock_keys
    assert (key.health, key.reason) == ("limited", "us.opus: no access")
