"""Access keys as operations: what each does, who may, what the audit log keeps."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from admin_app import access_key_operations as keys
from admin_app import bedrock_key_operations, circuit_operations, claim_operations, whole_operations
from admin_app.operation import BadFields, NotAllowed, Operation
from core.access import Invalid, LimitReached, NotFound
from core.actor import Role
from core.crypto import is_wellformed
from core.db import Database
from core.types import Strategy
from tests.admin_app.desk import Desk
from tests.core.office import NOW, SECOND, Office

KEY = {"key_id": "key_1"}
CHANGES: list[tuple[Operation, dict[str, Any]]] = [
    (keys.ISSUE, {"user_id": "usr_1"}),
    (keys.CHANGE, KEY),
    (keys.ROTATE, KEY),
    (keys.REVOKE, KEY),
    (circuit_operations.CLOSE, {"circuit_id": circuit_operations.circuit_id("plan", "key_1", "opus")}),
    (bedrock_key_operations.ATTACH, {"user_id": "usr_1", "secret": "s"}),
    (bedrock_key_operations.TEST, {"bedrock_key_id": "bdk_1"}),
    (bedrock_key_operations.REMOVE, {"bedrock_key_id": "bdk_1"}),
    (claim_operations.OPEN, {"user_id": "usr_1"}),
    (claim_operations.WITHDRAW, {"claim_id": "lnk_1"}),
]


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, Role.EDITOR)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def written(found: Any) -> str:
    return msgspec.json.encode(found).decode()


@pytest.mark.parametrize(("operation", "fields"), CHANGES, ids=lambda value: getattr(value, "name", ""))
def test_a_viewer_changes_nothing(desk: Desk, operation: Operation, fields: dict[str, Any]) -> None:
    desk.role = Role.VIEWER

    with pytest.raises(NotAllowed):
        desk.does(operation, **fields)

    assert desk.audited() == []


def test_an_issued_key_is_told_once_and_opens_the_door(desk: Desk, office: Office) -> None:
    user = office.add("Ada")

    told = desk.does(keys.ISSUE, user_id=user.id, name="laptop", monthly_budget_usd="12.5", requests_per_minute=60)

    assert is_wellformed(told.access_key)
    assert told.base_url == f"https://proxy.example.com/ak/{told.access_key}"
    assert (told.name, told.monthly_budget_usd, told.requests_per_minute) == ("laptop", Decimal("12.5"), 60)
    assert told.access_key not in repr(told)
    assert told.access_key[9:] not in written(desk.does(keys.GET, key_id=told.id)) + written(desk.does(keys.LIST))
    assert told.access_key[9:] not in written(desk.audited())


def test_issuing_is_in_the_audit_log_with_what_the_key_is_like(desk: Desk, office: Office) -> None:
    told = desk.does(keys.ISSUE, user_id=office.add("Ada").id, name="laptop", strategy="bedrock_only")

    [entry] = desk.audited()

    assert (entry.action, entry.target, entry.username, entry.before) == ("access_key.issue", told.id, "the-editor", {})
    assert (entry.after["name"], entry.after["strategy"], entry.after["prefix"]) == ("laptop", "bedrock_only", told.prefix)


def test_a_change_touches_what_it_names_and_null_takes_away(desk: Desk, office: Office) -> None:
    key = office.issue(office.add("Ada"), name="laptop", strategy=Strategy.PLAN_ONLY, requests_per_minute=60)

    after = desk.does(keys.CHANGE, key_id=key.id, strategy=None, monthly_budget_usd="5")

    assert (after.name, after.strategy, after.effective_strategy) == ("laptop", None, Strategy.PLAN_FIRST)
    assert (after.monthly_budget_usd, after.requests_per_minute) == (Decimal(5), 60)
    [entry] = desk.audited()
    assert (entry.before, entry.after) == (
        {"strategy": "plan_only", "monthly_budget_usd": None},
        {"strategy": None, "monthly_budget_usd": "5"},
    )


def test_an_expiry_that_a_form_sends_back_in_whole_seconds_is_no_change(desk: Desk, office: Office) -> None:
    key = office.issue(office.add("Ada"), expires_at=NOW + timedelta(microseconds=500_000))
    desk.now = NOW + 60 * SECOND

    after = desk.does(keys.CHANGE, key_id=key.id, name="old", expires_at="2026-05-01T12:00:00Z")

    assert (after.status, after.name, after.expires_at) == ("expired", "old", NOW + timedelta(microseconds=500_000))


@pytest.mark.parametrize(
    "fields",
    [
        {"monthly_budget_usd": "0.0000001"},
        {"monthly_budget_usd": "NaN"},
        {"requests_per_minute": 0},
        {"requests_per_minute": 10_001},
        {"strategy": "free"},
        {"name": "x" * 201},
        {"expires_at": "2027-01-01T00:00:00"},
        {"colour": "red"},
    ],
)
def test_what_is_not_as_declared_is_refused_field_by_field(desk: Desk, office: Office, fields: dict[str, Any]) -> None:
    key = office.issue(office.add("Ada"))

    with pytest.raises(BadFields) as refused:
        desk.does(keys.CHANGE, key_id=key.id, **fields)

    assert set(refused.value.problems) == set(fields)


def test_an_expiry_in_the_past_is_refused(desk: Desk, office: Office) -> None:
    with pytest.raises(Invalid, match="future"):
        desk.does(keys.ISSUE, user_id=office.add("Ada").id, expires_at="2026-05-01T11:59:59Z")


def test_rotation_keeps_the_key_and_tells_a_new_text(desk: Desk, office: Office) -> None:
    before = office.issue(office.add("Ada"), name="laptop")

    told = desk.does(keys.ROTATE, key_id=before.id, grace_s=60)

    assert (told.id, told.name, told.old_secret_until) == (before.id, "laptop", NOW + 60 * SECOND)
    assert told.access_key != before.access_key
    [entry] = desk.audited()
    assert (entry.before, entry.after) == ({"prefix": before.access_key[:9]}, {"prefix": told.access_key[:9], "grace_s": 60})


def test_after_a_revocation_the_key_is_shown_as_revoked_and_cannot_be_rotated(desk: Desk, office: Office) -> None:
    key = office.issue(office.add("Ada"))

    revoked = desk.does(keys.REVOKE, key_id=key.id)

    assert (revoked.status, revoked.revoked_at, office.grant(key)) == ("revoked", NOW, None)
    with pytest.raises(Invalid):
        desk.does(keys.ROTATE, key_id=key.id)


def test_a_full_user_gets_no_further_key_and_nothing_is_written(desk: Desk, office: Office) -> None:
    user = office.add("Ada")
    told = [desk.does(keys.ISSUE, user_id=user.id) for _ in range(10)]

    with pytest.raises(LimitReached):
        desk.does(keys.ISSUE, user_id=user.id)

    assert len(desk.audited()) == len(told)


@pytest.mark.parametrize("operation", [keys.GET, keys.CHANGE, keys.ROTATE, keys.REVOKE], ids=lambda each: each.name)
def test_a_key_that_is_not_there_is_not_found(desk: Desk, operation: Operation) -> None:
    with pytest.raises(NotFound):
        desk.does(operation, key_id="key_nowhere")


def test_a_list_goes_on_where_its_cursor_says(desk: Desk, office: Office) -> None:
    user = office.add("Ada")
    issued = [desk.does(keys.ISSUE, user_id=user.id, name=str(number)).id for number in range(3)]

    first = desk.does(keys.LIST, limit=2)
    second = desk.does(keys.LIST, limit=2, cursor=first.next_cursor)

    assert [each.id for each in (*first.data, *second.data)] == sorted(issued, reverse=True)
    assert second.next_cursor is None


def test_a_cursor_that_is_not_ours_is_refused(desk: Desk) -> None:
    with pytest.raises(BadFields):
        desk.does(keys.LIST, cursor="WzEs")


def test_closing_a_circuit_is_told_to_every_worker_and_audited(desk: Desk, office: Office) -> None:
    from core.circuit_rows import OPEN, CircuitRow, circuits_since, write_circuits

    key = office.issue(office.add("Ada"))
    row = CircuitRow("plan", key.id, "opus", OPEN, "plan_exhausted", opened_at=NOW, until=NOW + 60 * SECOND)
    office.database.run(lambda c: write_circuits(c, [row], NOW))
    shown = desk.does(whole_operations.KEY, key_id=key.id).circuits

    desk.does(circuit_operations.CLOSE, circuit_id=circuit_operations.circuit_id("plan", key.id, "opus"))

    _, [after] = office.database.read(lambda c: circuits_since(c, 0))
    assert ([each.family for each in shown], after.state) == (["opus"], "closed")
    assert desk.does(whole_operations.KEY, key_id=key.id).circuits == ()
    with pytest.raises(NotFound):
        desk.does(circuit_operations.CLOSE, circuit_id=circuit_operations.circuit_id("plan", key.id, "opus"))
    assert [entry.action for entry in desk.audited()] == ["circuit.close"]
