"""Whatever happens in whatever order: at most one probe lives, closed admits everybody, nothing is shut for ever."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from core.types import ProviderName
from proxy_app.circuit_rules import CircuitRules
from proxy_app.circuits import CircuitName, Circuits, Pass, State, Transition
from proxy_app.faults import Fault

KEY = CircuitName("key-1", ProviderName.PLAN, "opus")
RULES = CircuitRules()
WITHOUT_RESET = (
    Fault.PLAN_OVERLOADED,
    Fault.PLAN_THROTTLED,
    Fault.PLAN_UNREACHABLE,
    Fault.PLAN_TIMEOUT,
    Fault.STREAM_BROKEN,
    Fault.CLIENT_GONE,
)


class AnyOrder(RuleBasedStateMachine):
    """One key without credentials, so that every probe is a leased one."""

    passes = Bundle("passes")

    def __init__(self) -> None:
        super().__init__()
        self.mono = 0.0
        self.wall = 1_000_000.0
        self.probes: list[tuple[Pass, float]] = []
        self.opened_at = 0.0
        self.probed_at = 0.0
        self.longest_s = 0.0
        self.circuits = Circuits(
            clock=lambda: self.mono, wall=lambda: self.wall, digest_key=b"digest", rules=RULES, on_change=self.remember
        )

    def remember(self, transition: Transition) -> None:
        """How long the circuit may now be shut, reckoned from the rules and not from the machine."""
        self.opened_at = self.mono
        is_exhausted = transition.condition.fault is Fault.PLAN_EXHAUSTED
        self.longest_s = RULES.probe_s if is_exhausted else RULES.reset_s

    @rule(target=passes)
    def admit(self) -> Pass | None:
        was_closed = self.is_closed()
        answer = self.circuits.admit(KEY)
        if not isinstance(answer, Pass):
            assert not was_closed, "a closed circuit refused"
            return None
        if answer.is_probe:
            assert not self.live_probes(), "two probes live"
            self.probes.append((answer, self.mono))
        else:
            assert was_closed, "an open circuit admitted a request that is no probe"
        return answer

    @rule(admission=consumes(passes))
    def succeed(self, admission: Pass | None) -> None:
        self.end(admission)
        if admission is not None:
            admission.succeeded()

    @rule(admission=consumes(passes))
    def let_go(self, admission: Pass | None) -> None:
        self.end(admission)
        if admission is not None:
            admission.neutral()

    @rule(admission=consumes(passes), fault=st.sampled_from(WITHOUT_RESET))
    def fail(self, admission: Pass | None, fault: Fault) -> None:
        self.end(admission)
        if admission is not None:
            admission.failed(fault)

    @rule(admission=consumes(passes), seconds=st.integers(-100, 100_000), whole_account=st.booleans())
    def exhaust(self, admission: Pass | None, seconds: int, whole_account: bool) -> None:
        self.end(admission)
        if admission is not None:
            admission.failed(Fault.PLAN_EXHAUSTED, self.wall + seconds, whole_account)

    @rule(seconds=st.sampled_from((0.5, 29.0, 60.0, 120.0, 300.0, 330.0, 1800.0)))
    def wait(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += seconds

    @rule(seconds=st.integers(-100_000, 100_000))
    def step_the_wall_clock(self, seconds: int) -> None:
        self.wall += seconds

    @invariant()
    def nothing_is_shut_for_ever(self) -> None:
        since = max(self.opened_at, self.probed_at)
        if self.is_closed() or self.live_probes() or self.mono < since + self.longest_s:
            return
        answer = self.circuits.admit(KEY)
        assert isinstance(answer, Pass), "shut although its time has come"
        answer.neutral()

    def is_closed(self) -> bool:
        return self.circuits.describe(KEY.access_key_id, KEY.family) == State.CLOSED

    def live_probes(self) -> list[Pass]:
        return [probe for probe, since in self.probes if self.mono < since + RULES.lease_s]

    def end(self, admission: Pass | None) -> None:
        if admission is not None and admission.is_probe:
            self.probed_at = self.mono
        self.probes = [(probe, since) for probe, since in self.probes if probe is not admission]


class WithoutResets(AnyOrder):
    """The same without announced resets: then a circuit is probed again at most reset_s after its last opening."""

    exhaust = None  # type: ignore[assignment]

    @invariant()
    def nothing_is_shut_for_ever(self) -> None:
        if self.is_closed() or self.live_probes() or self.mono < self.opened_at + RULES.reset_s:
            return
        answer = self.circuits.admit(KEY)
        assert isinstance(answer, Pass), "shut for longer than reset_s"
        answer.neutral()


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, database=None)
WithoutResets.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, database=None)
TestAnyOrder = AnyOrder.TestCase
TestWithoutResets = WithoutResets.TestCase
