"""Operations on prices, models, learned repairs, circuits and the audit log itself."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from admin_app import audit_operations, circuit_operations, model_operations, price_operations, user_operations
from admin_app.operation import BadFields, NotAllowed
from core.access import Invalid, NotFound
from core.actor import Role
from core.circuit_rows import CircuitRow, write_circuits
from core.db import Database
from tests.admin_app.desk import Desk
from tests.core.office import NOW


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def prices_of(desk: Desk, model: str) -> list[tuple[Decimal, bool]]:
    return [(each.input, each.in_force) for each in desk.does(price_operations.LIST).data if each.model == model]


def test_a_price_is_laid_over_the_shipped_one_from_its_moment_on(desk: Desk) -> None:
    (shipped, _) = prices_of(desk, "claude-opus-5-5")[0]
    later = (NOW + timedelta(days=300)).isoformat()
    desk.does(price_operations.SET, model="claude-opus-5-5", input="7", output="35", since=later)
    assert (Decimal(7), False) in prices_of(desk, "claude-opus-5-5")
    assert (Decimal(7), True) in prices_of(desk.later(days=301), "claude-opus-5-5")
    assert shipped != 7


def test_what_is_not_said_of_the_cache_follows_from_the_input(desk: Desk) -> None:
    price = desk.does(price_operations.SET, model="claude-new-9", input="4", output="20")
    assert (price.cache_write_5m, price.cache_write_1h, price.cache_read) == (Decimal("5"), Decimal("8"), Decimal("0.4"))


def test_a_model_whose_long_prompts_cost_more_keeps_the_proportion(desk: Desk) -> None:
    price = desk.does(price_operations.SET, model="claude-haiku-5-5", input="0.2", output="0.6")
    assert (price.long_above, price.long_input, price.long_output) == (100_000, Decimal("1"), Decimal("3"))
    price = desk.does(price_operations.SET, model="claude-sonnet-4-5", input="3", output="10")
    assert (price.long_above, price.long_input, price.long_output) == (200_000, Decimal("6"), Decimal("15"))


def test_what_is_not_said_of_places_stays_as_it_was_set_last(desk: Desk) -> None:
    desk.does(price_operations.SET, model="claude-opus-5-5", input="4", output="20", geo_factor="1.3")
    again = desk.later(days=1).does(price_operations.SET, model="claude-opus-5-5", input="3", output="15")
    assert (again.geo_factor, again.us_gov_factor) == (Decimal("1.3"), Decimal("1.2"))


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity", "10000000"])
def test_a_price_is_a_number(desk: Desk, amount: str) -> None:
    with pytest.raises(BadFields, match="input"):
        desk.does(price_operations.SET, model="claude-new-9", input=amount, output="20")


def test_a_removed_price_is_in_the_audit_log_as_it_was(desk: Desk) -> None:
    price = desk.does(price_operations.SET, model="claude-new-9", input="4", output="20")
    desk.later(seconds=1).does(price_operations.REMOVE, price_id=price.id)
    removed, _ = desk.audited(action="price")
    assert (removed.action, removed.before["input"], removed.after) == ("price.remove", "4", {})
    with pytest.raises(NotFound):
        desk.does(price_operations.REMOVE, price_id=price.id)


def test_a_model_is_added_and_removed(desk: Desk) -> None:
    fields = {"model": "my-model", "bedrock": "anthropic.claude-opus-5-5", "like": "claude-opus-5-5", "prefixes": "us, global"}
    added = desk.does(model_operations.ADD, **fields)
    assert desk.does(model_operations.LIST).data == [added]
    assert added.prefixes == ("us", "global")
    desk.later(seconds=1).does(model_operations.REMOVE, model_id=added.id)
    assert [each.action for each in desk.audited(target=added.id)] == ["model.remove", "model.create"]


def test_a_model_that_leads_elsewhere_is_refused(desk: Desk) -> None:
    fields = {"model": "my-model", "bedrock": "https://evil.example.com/", "like": "claude-opus-5-5"}
    with pytest.raises(Invalid):
        desk.does(model_operations.ADD, **fields)


def test_nothing_learned_is_nothing_to_forget(desk: Desk) -> None:
    assert desk.does(model_operations.REPAIRS).data == []
    assert desk.does(model_operations.CLEAR_ALL).cleared == 0


def test_a_circuit_is_closed_in_the_name_of_who_closed_it(desk: Desk) -> None:
    row = CircuitRow("plan", "key_1", "opus", "open", "plan_exhausted", until=NOW + timedelta(hours=1), opened_at=NOW)
    desk.database.run(lambda connection: write_circuits(connection, [row], NOW))
    (circuit,) = desk.does(circuit_operations.LIST).data
    with pytest.raises(NotAllowed):
        desk.as_a(Role.VIEWER).does(circuit_operations.CLOSE, circuit_id=circuit.id)
    desk.does(circuit_operations.CLOSE, circuit_id=circuit.id)
    assert desk.does(circuit_operations.LIST).data == []
    (entry,) = desk.audited(action="circuit")
    assert (entry.target, entry.before["fault"]) == ("key_1", "plan_exhausted")


@pytest.mark.parametrize("identity", ["nonsense", "////", "cGxhbg"])
def test_a_circuit_that_is_not_open_is_not_found(desk: Desk, identity: str) -> None:
    with pytest.raises(NotFound):
        desk.does(circuit_operations.CLOSE, circuit_id=identity)


def test_the_audit_log_is_read_page_by_page_the_latest_first(desk: Desk) -> None:
    added = [desk.later(minutes=at).does(user_operations.ADD, name=f"user-{at}") for at in range(5)]
    first = desk.does(audit_operations.LIST, limit=3)
    second = desk.does(audit_operations.LIST, limit=3, cursor=first.next_cursor)
    assert [each.target for each in (*first.data, *second.data)] == [user.id for user in reversed(added)]
    assert second.next_cursor is None
