"""Several workers, one database: what one finds out, all know at their next tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from sqlalchemy import Connection, select, update

from core import circuit_rows
from core.db import Database, DatabaseAway
from core.models import circuits as circuits_table
from core.models import revisions
from core.types import ProviderName
from proxy_app import circuit_sharing
from proxy_app.circuit_rules import CircuitRules
from proxy_app.circuit_sharing import CircuitSharing
from proxy_app.circuits import CircuitName, Circuits, Pass, Refused, Transition
from proxy_app.faults import Fault

T = TypeVar("T")
OPUS = CircuitName("key-1", ProviderName.PLAN, "opus")
ACCOUNT = CircuitName("key-1", ProviderName.PLAN, "*")
NOVA = CircuitName("bedrock-key-1", ProviderName.BEDROCK, "us-east-1/opus")
NOON = 1_795_435_200.0
HOUR = 3600.0


class Fickle(Database):
    """The real database, which can go away and come back."""

    def __init__(self, real: Database) -> None:
        self.real = real
        self.away = False
        self.meanwhile: Callable[[], None] = lambda: None

    def run(self, work: Callable[[Connection], T]) -> T:
        self._refuse_when_away()
        self.meanwhile()
        return self.real.run(work)

    def read(self, work: Callable[[Connection], T]) -> T:
        self._refuse_when_away()
        return self.real.read(work)

    def _refuse_when_away(self) -> None:
        if self.away:
            raise DatabaseAway("gone for the test")


@dataclass
class World:
    """One wall clock for all workers; each worker's monotonic clock begins elsewhere."""

    database: Fickle
    elapsed: float = 0.0
    workers: int = 0

    def worker(self, worker_id: str = "") -> Worker:
        self.workers += 1
        return Worker(self, worker_id or f"worker-{self.workers}", self.workers * 5000.0)

    def rows(self) -> list[circuit_rows.CircuitRow]:
        return self.database.real.read(lambda connection: circuit_rows.circuits_since(connection, 0))[1]

    def revision(self) -> int:
        count = select(revisions.c.circuits)
        return int(self.database.real.read(lambda connection: connection.execute(count).scalar_one()))


@dataclass
class Worker:
    world: World
    worker_id: str
    born: float
    told: list[Transition] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.circuits = Circuits(
            clock=lambda: self.born + self.world.elapsed,
            wall=lambda: NOON + self.world.elapsed,
            digest_key=b"digest",
            rules=CircuitRules(),
            on_change=self.told.append,
        )
        self.sharing = CircuitSharing(self.world.database, self.circuits, self.worker_id)

    def tick(self) -> None:
        self.sharing.publish()
        self.sharing.absorb()

    def enter(self, name: CircuitName = OPUS, credential: bytes = b"") -> Pass:
        answer = self.circuits.admit(name, credential)
        assert isinstance(answer, Pass), answer
        return answer

    def is_refused(self, name: CircuitName = OPUS, credential: bytes = b"") -> bool:
        return isinstance(self.circuits.admit(name, credential), Refused)

    def exhaust(self, credential: bytes = b"") -> None:
        self.enter(OPUS, credential).failed(Fault.PLAN_EXHAUSTED, NOON + 5 * HOUR, whole_account=True)


@pytest.fixture
def world(database: Database) -> World:
    return World(Fickle(database))


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
    first.tick()
    first.exhaust()
    first.sharing.publish()
    world.elapsed += 1800
    probe = first.enter()
    first.sharing.absorb()
    probe.succeeded()
    assert first.circuits.snapshot() == []


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
