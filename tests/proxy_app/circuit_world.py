"""Circuits with a clock, and a gateway that meets them: what the tests of their rules begin with."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from core.types import ProviderName
from proxy_app.circuit_rules import CircuitRules
from proxy_app.circuits import CircuitName, Circuits, Pass, Refused, State, Transition
from proxy_app.faults import Fault

OPUS = CircuitName("key-1", ProviderName.PLAN, "opus")
HAIKU = CircuitName("key-1", ProviderName.PLAN, "haiku")
NOVA = CircuitName("bedrock-key-1", ProviderName.BEDROCK, "us-east-1/opus")
NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z
HOUR = 3600.0


@dataclass
class World:
    """Both clocks in the test's hand, and what the listeners were told."""

    mono: float = 1000.0
    wall: float = NOON
    told: list[Transition] = field(default_factory=list)
    circuits: Circuits = field(init=False)

    def __post_init__(self) -> None:
        self.start(CircuitRules())

    def start(self, rules: CircuitRules) -> None:
        self.circuits = Circuits(
            clock=lambda: self.mono, wall=lambda: self.wall, digest_key=b"digest", rules=rules, on_change=self.told.append
        )

    def later(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += seconds

    def enter(self, name: CircuitName = OPUS, credential: bytes = b"") -> Pass:
        answer = self.circuits.admit(name, credential)
        assert isinstance(answer, Pass), answer
        return answer

    def is_refused(self, name: CircuitName = OPUS, credential: bytes = b"") -> bool:
        return isinstance(self.circuits.admit(name, credential), Refused)

    def fail(self, times: int = 1, fault: Fault = Fault.PLAN_OVERLOADED, name: CircuitName = OPUS) -> None:
        for _ in range(times):
            self.enter(name).failed(fault)

    def exhaust(self, credential: bytes = b"", hours: float = 5.0, whole_account: bool = False) -> None:
        self.enter(OPUS, credential).failed(Fault.PLAN_EXHAUSTED, self.wall + hours * HOUR, whole_account)

    def states_told(self) -> list[tuple[str, State]]:
        return [(transition.name.family, transition.condition.state) for transition in self.told]


@pytest.fixture
def world() -> World:
    return World()
