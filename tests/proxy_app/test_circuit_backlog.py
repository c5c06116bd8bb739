"""What waits to be written for other workers while the database is away: bounded, the latest of each, and nothing lost."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from core import circuit_rows
from core.models import revisions
from core.types import ProviderName
from proxy_app import circuit_sharing
from proxy_app.circuits import CircuitName
from proxy_app.faults import Fault
from tests.proxy_app.sharing_world import ACCOUNT, HOUR, NOON, NOVA, OPUS, World
from tests.proxy_app.sharing_world import world as world


def test_nothing_is_lost_while_the_database_is_away(world: World) -> None:
    first, second = world.worker(), world.worker()
    world.database.away = True
    first.exhaust()
    first.enter(NOVA).failed(Fault.BEDROCK_TIMEOUT)
    first.tick()
    assert first.sharing.backlog == 2
    world.database.away = False
    first.tick()
    second.tick()
    assert first.sharing.backlog == 0
    assert second.is_refused()
    assert second.is_refused(NOVA)


def test_of_each_circuit_only_the_latest_change_waits(world: World) -> None:
    first = world.worker()
    world.database.away = True
    for _ in range(5):
        first.exhaust()
        first.circuits.close(ACCOUNT)
    assert first.sharing.backlog == 1
    world.database.away = False
    assert first.sharing.publish() == 1
    assert world.rows()[0].state == "closed"


def test_a_change_during_the_writing_waits_for_the_next(world: World) -> None:
    first = world.worker()
    first.exhaust()
    changes = iter([lambda: first.circuits.close(ACCOUNT)])
    world.database.meanwhile = lambda: next(changes, lambda: None)()
    assert first.sharing.publish() == 2
    assert world.rows()[0].state == "closed"


def test_the_backlog_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_sharing, "MOST_WAITING", 3)
    first = world.worker()
    for number in range(5):
        first.circuits.close(CircuitName(f"key-{number}", ProviderName.PLAN, "opus"))
    first.tick()
    assert [row.holder for row in world.rows()] == ["key-2", "key-3", "key-4"]


def test_a_long_backlog_is_written_in_batches(world: World) -> None:
    first = world.worker()
    for number in range(450):
        first.circuits.close(CircuitName(f"key-{number}", ProviderName.PLAN, "opus"))
    before = world.revision()
    assert first.sharing.publish() == 450
    assert world.revision() == before + 3
    assert len(world.rows()) == 450


@pytest.mark.parametrize("family", ["x" * 201, "nul\x00", "line\nbreak", "\udcff"])
def test_a_name_that_no_row_can_hold_stays_local_and_harms_nobody(world: World, family: str) -> None:
    first = world.worker()
    first.enter(CircuitName("key-1", ProviderName.PLAN, family)).failed(Fault.PLAN_TIMEOUT)
    first.exhaust()
    assert first.sharing.publish() == 1


def test_the_worker_wide_circuit_is_not_shared(world: World) -> None:
    first, second = world.worker(), world.worker()
    for number in range(5):
        first.enter(CircuitName(f"key-{number}", ProviderName.PLAN, "opus")).failed(Fault.PLAN_TIMEOUT)
    first.tick()
    second.tick()
    other = CircuitName("key-9", ProviderName.PLAN, "opus")
    assert first.is_refused(other)
    assert not second.is_refused(other)
    assert len(world.rows()) == 5
    assert first.told[-1].condition.fault is Fault.PLAN_TIMEOUT


def test_rows_of_a_newer_release_do_no_harm(world: World) -> None:
    until = datetime.fromtimestamp(NOON + HOUR, UTC)
    rows = [
        circuit_rows.CircuitRow("vertex", "key-1", "opus", "open", until=until),
        circuit_rows.CircuitRow("plan", "key-1", "opus", "open", fault="plan_moonphase", until=until),
    ]
    world.database.run(lambda connection: circuit_rows.write_circuits(connection, rows, until))
    worker = world.worker()
    worker.tick()
    assert worker.circuits.describe("key-1", "opus") == "open until 2026-11-23T13:00:00Z"


def test_rows_that_nobody_needs_are_deleted_after_a_day(world: World) -> None:
    first = world.worker()
    first.circuits.close(OPUS)
    first.enter(NOVA).failed(Fault.BEDROCK_TIMEOUT)
    first.tick()
    world.elapsed += 24 * HOUR - 1
    first.tick()
    assert len(world.rows()) == 2
    world.elapsed += HOUR + 61
    first.exhaust()
    first.tick()
    assert [row.family for row in world.rows()] == ["*"]


def test_a_database_restored_from_an_older_copy_is_read_anew(world: World) -> None:
    first, second = world.worker(), world.worker()
    for _ in range(3):
        first.circuits.close(OPUS)
        first.tick()
    second.tick()
    world.database.run(lambda connection: connection.execute(update(revisions).values(circuits=0)))
    first.exhaust()
    first.tick()
    second.tick()
    assert second.is_refused()
