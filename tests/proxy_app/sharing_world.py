"""Several workers on one database that can go away: what the tests of shared circuits begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from sqlalchemy import Connection, select

from core import circuit_rows
from core.db import Database, DatabaseAway
from core.models import revisions
from core.types import ProviderName
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
