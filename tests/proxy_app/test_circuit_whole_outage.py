"""An upstream that fails for everybody, and what circuits show of themselves."""

from __future__ import annotations

from core.types import ProviderName
from proxy_app.circuits import WORKER_WIDE, CircuitName, State
from proxy_app.faults import Fault
from tests.proxy_app.circuit_world import HAIKU, HOUR, NOON, NOVA, OPUS, World
from tests.proxy_app.circuit_world import world as world

ACCOUNT = CircuitName("key-1", ProviderName.PLAN, "*")


class TestOutage:
    def fail_keys(self, world: World, numbers: range, fault: Fault = Fault.PLAN_UNREACHABLE) -> None:
        for number in numbers:
            world.enter(CircuitName(f"key-{number}", ProviderName.PLAN, "opus")).failed(fault)

    def test_five_keys_within_half_a_minute_close_the_plan_to_the_worker(self, world: World) -> None:
        self.fail_keys(world, range(100, 104))
        assert not world.is_refused()
        self.fail_keys(world, range(104, 105))
        assert world.is_refused()
        assert not world.is_refused(NOVA)

    def test_five_failures_of_one_key_do_not(self, world: World) -> None:
        for number in range(5):
            world.enter(CircuitName("key-2", ProviderName.PLAN, f"family-{number}")).failed(Fault.PLAN_TIMEOUT)
        assert not world.is_refused()

    def test_keys_that_fail_far_apart_do_not(self, world: World) -> None:
        self.fail_keys(world, range(100, 104))
        world.later(31)
        self.fail_keys(world, range(104, 108))
        assert not world.is_refused()

    def test_answers_of_the_plan_do_not(self, world: World) -> None:
        self.fail_keys(world, range(100, 120), Fault.PLAN_OVERLOADED)
        assert not world.is_refused()

    def test_a_request_that_began_later_and_was_served_disproves_it(self, world: World) -> None:
        self.fail_keys(world, range(100, 104))
        world.later(1)
        world.enter(HAIKU).succeeded()
        self.fail_keys(world, range(104, 108))
        assert not world.is_refused()

    def test_a_request_that_began_before_proves_nothing(self, world: World) -> None:
        old = world.enter(HAIKU)
        world.later(1)
        self.fail_keys(world, range(100, 104))
        old.succeeded()
        self.fail_keys(world, range(104, 105))
        assert world.is_refused()

    def test_one_probe_after_half_a_minute_decides_for_all(self, world: World) -> None:
        self.fail_keys(world, range(100, 105))
        world.later(30)
        probe = world.enter()
        assert world.is_refused(HAIKU)
        probe.failed(Fault.PLAN_UNREACHABLE)
        world.later(29)
        assert world.is_refused(HAIKU)
        world.later(1)
        world.enter(HAIKU).succeeded()
        assert not world.is_refused()

    def test_any_answer_to_the_probe_shows_that_the_plan_is_there(self, world: World) -> None:
        self.fail_keys(world, range(100, 105))
        world.later(30)
        world.enter().failed(Fault.PLAN_OVERLOADED)
        assert not world.is_refused()

    def test_a_probe_that_its_own_circuit_refuses_is_given_back(self, world: World) -> None:
        world.exhaust(whole_account=True)
        self.fail_keys(world, range(100, 105))
        world.later(30)
        assert world.is_refused(OPUS)
        assert world.enter(CircuitName("key-2", ProviderName.PLAN, "opus")).is_probe

    def test_late_failures_of_the_same_outage_do_not_open_it_again(self, world: World) -> None:
        late = [world.enter(CircuitName(f"key-{number}", ProviderName.PLAN, "opus")) for number in range(200, 204)]
        self.fail_keys(world, range(100, 105))
        world.later(30)
        world.enter().succeeded()
        for admission in late:
            admission.failed(Fault.PLAN_TIMEOUT)
        self.fail_keys(world, range(300, 301))
        assert not world.is_refused()


class TestViews:
    def test_a_snapshot_tells_state_reason_and_times(self, world: World) -> None:
        world.exhaust(whole_account=True)
        world.later(10)
        world.fail(3, name=CircuitName("key-2", ProviderName.PLAN, "opus"))
        first, second = world.circuits.snapshot()
        assert (first.name, first.state, first.fault) == (ACCOUNT, State.OPEN, Fault.PLAN_EXHAUSTED)
        assert (first.opened_at, first.until) == (NOON, NOON + 5 * HOUR)
        assert (second.opened_at, second.until) == (NOON + 10, NOON + 70)
        assert second.generation > first.generation

    def test_an_open_circuit_whose_time_has_come_reads_half_open(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        assert world.circuits.snapshot()[0].state is State.HALF_OPEN
        assert world.circuits.describe("key-1", "opus") == "half_open"

    def test_a_circuit_keeps_the_time_it_first_opened(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        world.fail()
        assert world.circuits.snapshot()[0].opened_at == NOON
        world.later(120)
        world.enter().succeeded()
        world.fail(3)
        assert world.circuits.snapshot()[0].opened_at == NOON + 180

    def test_describe_names_the_widest_circuit(self, world: World) -> None:
        assert world.circuits.describe("key-1", "opus") == "closed"
        world.fail(3)
        assert world.circuits.describe("key-1", "opus") == "open until 2026-11-23T12:01:00Z plan_overloaded"
        assert world.circuits.describe("key-1", "haiku") == "closed"

    def test_an_admin_closes_a_circuit_and_its_logins_are_forgotten(self, world: World) -> None:
        world.exhaust(b"old", whole_account=True)
        running = world.enter(OPUS, b"new")
        world.circuits.close(ACCOUNT)
        running.failed(Fault.PLAN_EXHAUSTED, NOON + HOUR, True)
        assert not world.is_refused(OPUS, b"old")
        assert world.told[-1].condition.state is State.CLOSED
        assert world.told[-1].condition.credential == ""

    def test_an_admin_closes_a_circuit_that_only_other_workers_know(self, world: World) -> None:
        world.circuits.close(OPUS)
        assert world.states_told() == [("opus", State.CLOSED)]

    def test_the_worker_wide_circuit_can_be_closed(self, world: World) -> None:
        TestOutage().fail_keys(world, range(100, 105))
        world.circuits.close(WORKER_WIDE)
        assert not world.is_refused()
