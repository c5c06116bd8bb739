"""Several workers, one database: what one finds out, all know at their next tick."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select

from core import circuit_rows
from core.models import circuits as circuits_table
from proxy_app.faults import Fault
from tests.proxy_app.sharing_world import ACCOUNT, HOUR, NOON, NOVA, OPUS, Worker, World
from tests.proxy_app.sharing_world import world as world


def test_what_one_worker_finds_out_another_knows(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.exhaust()
    first.tick()
    assert not second.is_refused()
    second.tick()
    assert second.circuits.describe("key-1", "opus") == "open until 2026-11-23T17:00:00Z plan_exhausted"
    assert second.told == []


def test_a_row_tells_everything_but_the_credential(world: World) -> None:
    worker = world.worker()
    worker.exhaust(b"login")
    worker.tick()
    [row] = world.rows()
    noon = datetime.fromtimestamp(NOON, UTC)
    assert (row.provider, row.holder, row.family, row.state) == ("plan", "key-1", "*", "open")
    assert (row.fault, row.worker, row.opened_at) == ("plan_exhausted", "worker-1", noon)
    assert row.until == datetime.fromtimestamp(NOON + 5 * HOUR, UTC)
    assert row.probe_at == datetime.fromtimestamp(NOON + 1800, UTC)
    assert len(row.credential) == 16
    assert row.credential not in repr(row)


def test_a_bedrock_key_has_its_own_column(world: World) -> None:
    worker = world.worker()
    worker.enter(NOVA).failed(Fault.BEDROCK_TIMEOUT)
    worker.tick()
    columns = select(circuits_table.c.access_key_id, circuits_table.c.bedrock_key_id)
    assert world.database.read(lambda connection: tuple(connection.execute(columns).one())) == ("", "bedrock-key-1")
    other = world.worker()
    other.tick()
    assert other.is_refused(NOVA)


def test_a_circuit_that_one_worker_closes_closes_everywhere(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.enter().failed(Fault.PLAN_TIMEOUT)
    first.tick()
    second.tick()
    world.elapsed += 60
    second.enter().succeeded()
    second.tick()
    first.tick()
    assert first.circuits.snapshot() == []


def test_the_backoff_of_one_worker_goes_on_in_another(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.enter().failed(Fault.PLAN_TIMEOUT)
    world.elapsed += 60
    first.enter().failed(Fault.PLAN_TIMEOUT)
    first.tick()
    second.tick()
    world.elapsed += 120
    second.enter().failed(Fault.PLAN_TIMEOUT)
    assert second.circuits.snapshot()[0].until == NOON + 60 + 120 + 240


def test_another_worker_probes_an_exhausted_circuit_when_the_first_one_would(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.exhaust()
    first.tick()
    world.elapsed += 1000
    second.tick()
    world.elapsed += 799
    assert second.is_refused()
    world.elapsed += 1
    assert second.enter().is_probe


def test_a_half_open_circuit_is_told_to_nobody(world: World) -> None:
    first = world.worker()
    first.enter().failed(Fault.PLAN_TIMEOUT)
    first.tick()
    revision = world.revision()
    world.elapsed += 60
    first.enter().neutral()
    first.tick()
    assert world.revision() == revision


def test_a_worker_does_not_apply_its_own_rows(world: World) -> None:
    first = world.worker()
    first.circuits.close(NOVA)
    assert circuits_after_a_probe_beside_its_own_row(world, first) == []


def test_a_worker_of_a_new_installation_does_not_apply_the_first_row_of_all_when_it_is_its_own(world: World) -> None:
    assert circuits_after_a_probe_beside_its_own_row(world, world.worker()) == []


def circuits_after_a_probe_beside_its_own_row(world: World, worker: Worker) -> Sequence[object]:
    worker.tick()
    worker.exhaust()
    worker.sharing.publish()
    world.elapsed += 1800
    probe = worker.enter()
    worker.sharing.absorb()
    probe.succeeded()
    return worker.circuits.snapshot()


def test_a_row_is_applied_once(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.exhaust()
    first.tick()
    assert [second.sharing.absorb() for _ in range(3)] == [1, 0, 0]


def test_a_worker_that_starts_takes_over_what_is_open_its_own_earlier_rows_too(world: World) -> None:
    earlier = world.worker("worker-a")
    earlier.exhaust()
    earlier.tick()
    later = world.worker("worker-a")
    later.tick()
    assert later.is_refused()


def test_a_circuit_whose_time_is_over_is_not_taken_over(world: World) -> None:
    first = world.worker()
    first.enter().failed(Fault.PLAN_TIMEOUT)
    first.tick()
    world.elapsed += 60
    late = world.worker()
    late.tick()
    assert late.circuits.snapshot() == []


def test_an_admin_closes_a_circuit_in_every_worker(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.exhaust(b"login")
    first.tick()
    second.tick()
    now = datetime.fromtimestamp(NOON, UTC)
    world.database.run(lambda connection: circuit_rows.close_circuit(connection, "plan", "key-1", "*", now))
    first.tick()
    second.tick()
    assert not first.is_refused(OPUS, b"login")
    assert not second.is_refused(OPUS, b"login")
    assert world.rows()[0].credential == ""


def test_an_admin_may_close_what_his_worker_does_not_know(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.exhaust()
    first.tick()
    second.circuits.close(ACCOUNT)
    second.tick()
    first.tick()
    assert not first.is_refused()


def test_the_last_writer_wins(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.enter().failed(Fault.PLAN_TIMEOUT)
    second.exhaust()
    second.circuits.close(OPUS)
    first.sharing.publish()
    second.sharing.publish()
    first.sharing.absorb()
    second.sharing.absorb()
    assert first.circuits.snapshot()[0].name == second.circuits.snapshot()[0].name == ACCOUNT


def test_what_waits_to_be_written_is_newer_than_any_row(world: World) -> None:
    first, second = world.worker(), world.worker()
    second.circuits.close(OPUS)
    second.sharing.publish()
    first.enter().failed(Fault.PLAN_TIMEOUT)
    first.sharing.absorb()
    assert first.is_refused()


def test_other_workers_know_the_rejected_login(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.exhaust(b"spent")
    first.tick()
    second.tick()
    assert second.is_refused(OPUS, b"spent")
    assert not second.is_refused(OPUS, b"new")


def test_two_logins_in_turn_flap_once_over_all_workers(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.exhaust(b"spent")
    first.enter(OPUS, b"good").succeeded()
    first.tick()
    second.tick()
    second.enter(OPUS, b"good").succeeded()
    second.exhaust(b"spent")
    second.tick()
    first.tick()
    for worker in (first, second):
        worker.enter(OPUS, b"good").succeeded()
        assert worker.is_refused(OPUS, b"spent")
