"""The rules of SPEC section 5, as a gateway meets them: admissions, outcomes and time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import gevent

from core.settings import Settings
from core.types import ProviderName
from proxy_app.circuit_rules import CircuitRules
from proxy_app.circuits import CircuitName, Pass, State
from proxy_app.faults import Fault
from tests.proxy_app.circuit_world import HAIKU, HOUR, OPUS, World
from tests.proxy_app.circuit_world import world as world


class TestFailures:
    def test_three_failures_in_a_row_open_a_circuit(self, world: World) -> None:
        world.fail(2)
        assert not world.is_refused()
        world.fail()
        assert world.is_refused()
        assert world.states_told() == [("opus", State.OPEN)]

    def test_a_success_between_starts_the_count_anew(self, world: World) -> None:
        world.fail(2)
        world.enter().succeeded()
        world.fail(2)
        assert not world.is_refused()

    def test_failures_before_the_window_do_not_count(self, world: World) -> None:
        world.fail(2)
        world.later(601)
        world.fail(2)
        assert not world.is_refused()
        world.fail()
        assert world.is_refused()

    def test_the_window_slides_instead_of_starting_anew(self, world: World) -> None:
        world.fail()
        world.later(400)
        world.fail()
        world.later(201)
        world.fail()
        assert not world.is_refused()
        world.fail()
        assert world.is_refused()

    def test_one_timeout_opens_at_once(self, world: World) -> None:
        world.enter().failed(Fault.PLAN_TIMEOUT)
        assert world.is_refused()

    def test_faults_that_say_nothing_of_the_upstream_neither_count_nor_reset(self, world: World) -> None:
        world.fail(2)
        for fault in (Fault.PLAN_AUTH, Fault.PLAN_ENTITLEMENT, Fault.REJECTED, Fault.CLIENT_GONE):
            world.fail(5, fault)
        assert not world.is_refused()
        world.fail()
        assert world.is_refused()

    def test_families_and_keys_fail_apart(self, world: World) -> None:
        world.fail(3)
        assert not world.is_refused(HAIKU)
        assert not world.is_refused(CircuitName("key-2", ProviderName.PLAN, "opus"))

    def test_ten_parallel_failures_are_one_trip(self, world: World) -> None:
        passes = [world.enter() for _ in range(10)]
        for admission in passes:
            admission.failed(Fault.PLAN_OVERLOADED)
        assert world.states_told() == [("opus", State.OPEN)]
        world.later(60)
        assert world.enter().is_probe

    def test_only_the_first_word_of_a_pass_counts(self, world: World) -> None:
        world.fail(2)
        admission = world.enter()
        admission.neutral()
        admission.failed(Fault.PLAN_TIMEOUT)
        admission.succeeded()
        world.fail()
        assert world.is_refused()


class TestTime:
    def test_it_opens_for_sixty_seconds_first(self, world: World) -> None:
        world.fail(3)
        world.later(59.9)
        assert world.is_refused()
        world.later(0.1)
        assert world.enter().is_probe

    def test_the_time_doubles_to_the_limit_while_probes_fail(self, world: World) -> None:
        world.fail(3)
        for seconds in (60, 120, 240, 300, 300):
            world.later(seconds - 1)
            assert world.is_refused()
            world.later(1)
            world.fail()

    def test_a_success_resets_the_time(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        world.fail()
        world.later(120)
        world.enter().succeeded()
        world.fail(3)
        world.later(60)
        assert not world.is_refused()

    def test_steps_of_the_wall_clock_neither_shorten_nor_lengthen(self, world: World) -> None:
        world.exhaust(hours=1 / 60)
        world.wall += 3 * HOUR
        world.mono += 59
        assert world.is_refused()
        world.wall -= 9 * HOUR
        world.mono += 1
        world.enter().succeeded()
        assert world.circuits.describe("key-1", "opus") == "closed"

    def test_failures_after_the_clock_was_set_back_still_open_and_close(self, world: World) -> None:
        world.fail(3)
        world.wall -= HOUR
        world.mono += 60
        world.fail()
        world.mono += 120
        world.enter().succeeded()
        assert world.circuits.snapshot() == []

    def test_the_settings_give_the_numbers(self, world: World) -> None:
        world.start(CircuitRules.from_settings(Settings(circuit_failures=1, circuit_reset_s=10.0)))
        world.fail()
        world.later(10)
        assert world.enter().is_probe


class TestProbes:
    def test_only_one_request_probes_at_a_time(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        probe = world.enter()
        assert probe.is_probe
        assert world.is_refused()
        probe.succeeded()
        assert not world.enter().is_probe
        assert world.states_told() == [("opus", State.OPEN), ("opus", State.CLOSED)]

    def test_fifty_greenlets_get_one_probe(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        jobs = [gevent.spawn(world.circuits.admit, OPUS) for _ in range(50)]
        gevent.joinall(jobs)
        assert [isinstance(job.value, Pass) for job in jobs].count(True) == 1

    def test_fifty_threads_get_one_probe(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: world.circuits.admit(OPUS), range(50)))
        assert [isinstance(answer, Pass) for answer in answers].count(True) == 1

    def test_a_neutral_probe_lets_the_next_request_probe_at_once(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        world.enter().neutral()
        assert world.circuits.describe("key-1", "opus") == "half_open"
        assert world.enter().is_probe

    def test_a_lost_probe_is_replaced_when_its_lease_ends(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        world.enter()
        world.later(329)
        assert world.is_refused()
        world.later(1)
        assert world.enter().is_probe

    def test_a_replaced_probe_is_not_heard_any_more(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        lost = world.enter()
        world.later(330)
        second = world.enter()
        lost.failed(Fault.PLAN_OVERLOADED)
        assert world.is_refused()
        second.succeeded()
        assert not world.is_refused()

    def test_a_replaced_probe_cannot_give_its_successor_s_lease_back(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        lost = world.enter()
        world.later(330)
        world.enter()
        lost.neutral()
        assert world.is_refused()

    def test_a_late_success_from_before_the_opening_does_not_close(self, world: World) -> None:
        old = world.enter()
        world.fail(3)
        old.succeeded()
        assert world.is_refused()

    def test_late_failures_do_not_push_the_opening_further(self, world: World) -> None:
        late = [world.enter() for _ in range(2)]
        world.fail(3)
        world.later(50)
        late[0].failed(Fault.PLAN_TIMEOUT)
        late[1].failed(Fault.PLAN_EXHAUSTED, world.wall + HOUR)
        world.later(10)
        assert world.enter().is_probe

    def test_a_late_failure_from_before_a_closing_does_not_count(self, world: World) -> None:
        old = [world.enter() for _ in range(3)]
        world.fail(3)
        world.later(60)
        world.enter().succeeded()
        for admission in old:
            admission.failed(Fault.PLAN_TIMEOUT)
        assert not world.is_refused()


class TestMemory:
    def test_healthy_keys_leave_no_trace(self, world: World) -> None:
        for number in range(1000):
            world.enter(CircuitName(f"key-{number}", ProviderName.PLAN, "opus")).succeeded()
        world.fail(1)
        world.enter().succeeded()
        assert len(world.circuits._shelf) == 0

    def test_the_circuit_used_least_recently_makes_room(self, world: World) -> None:
        world.start(CircuitRules(capacity=2, outage_keys=100))
        for key in ("key-1", "key-2"):
            world.enter(CircuitName(key, ProviderName.PLAN, "opus")).failed(Fault.PLAN_TIMEOUT)
        assert world.is_refused(OPUS)
        world.enter(CircuitName("key-3", ProviderName.PLAN, "opus")).failed(Fault.PLAN_TIMEOUT)
        assert world.is_refused(OPUS)
        assert not world.is_refused(CircuitName("key-2", ProviderName.PLAN, "opus"))

    def test_the_probe_of_a_circuit_that_made_room_disturbs_nothing(self, world: World) -> None:
        world.start(CircuitRules(capacity=1, outage_keys=100))
        world.fail(3)
        world.later(60)
        probe = world.enter()
        world.fail(3, name=HAIKU)
        probe.succeeded()
        probe.neutral()
        assert world.is_refused(HAIKU)
        assert not world.is_refused(OPUS)
