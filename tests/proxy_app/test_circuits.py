"""The rules of SPEC section 5, as a gateway meets them: admissions, outcomes and time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import gevent
import pytest

from core.settings import Settings
from core.types import ProviderName
from proxy_app.circuit_rules import CircuitRules
from proxy_app.circuits import WORKER_WIDE, CircuitName, Circuits, Pass, Refused, State, Transition
from proxy_app.faults import Fault

OPUS = CircuitName("key-1", ProviderName.PLAN, "opus")
HAIKU = CircuitName("key-1", ProviderName.PLAN, "haiku")
ACCOUNT = CircuitName("key-1", ProviderName.PLAN, "*")
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


class TestExhaustion:
    def test_a_whole_account_reset_closes_the_plan_to_every_family(self, world: World) -> None:
        world.exhaust(whole_account=True)
        refused = world.circuits.admit(HAIKU)
        assert refused == Refused(NOON + 5 * HOUR, "open until 2026-11-23T17:00:00Z plan_exhausted", Fault.PLAN_EXHAUSTED)
        assert world.states_told() == [("*", State.OPEN)]

    def test_a_reset_of_one_model_closes_that_family_only(self, world: World) -> None:
        world.exhaust()
        assert world.is_refused()
        assert not world.is_refused(HAIKU)

    def test_a_reset_is_believed_for_six_hours_at_most(self, world: World) -> None:
        world.exhaust(hours=24 * 7)
        assert world.circuits.snapshot()[0].until == NOON + 6 * HOUR

    def test_a_reset_in_the_past_opens_for_the_usual_time(self, world: World) -> None:
        world.exhaust(hours=-1)
        world.later(59)
        assert world.is_refused()
        world.later(1)
        assert world.enter().is_probe

    def test_one_real_request_goes_through_every_half_hour(self, world: World) -> None:
        world.exhaust(whole_account=True)
        world.later(1799)
        assert world.is_refused()
        world.later(1)
        probe = world.enter()
        assert world.is_refused(HAIKU)
        probe.failed(Fault.PLAN_EXHAUSTED, NOON + 5 * HOUR, True)
        world.later(1799)
        assert world.is_refused()
        world.later(1)
        assert world.enter().is_probe

    def test_a_probe_that_succeeds_before_the_reset_closes(self, world: World) -> None:
        world.exhaust(whole_account=True)
        world.later(1800)
        world.enter().succeeded()
        assert not world.is_refused(HAIKU)

    def test_a_probe_that_fails_otherwise_leaves_the_known_reset(self, world: World) -> None:
        world.exhaust(whole_account=True)
        world.later(1800)
        world.enter().failed(Fault.PLAN_OVERLOADED)
        [view] = world.circuits.snapshot()
        assert (view.fault, view.until) == (Fault.PLAN_EXHAUSTED, NOON + 5 * HOUR)
        world.later(300)
        assert world.is_refused()
        world.later(1500)
        assert world.enter().is_probe

    def test_a_probe_that_times_out_leaves_the_known_reset_too(self, world: World) -> None:
        world.exhaust()
        world.later(1800)
        world.enter().failed(Fault.PLAN_TIMEOUT)
        [view] = world.circuits.snapshot()
        assert (view.fault, view.until) == (Fault.PLAN_EXHAUSTED, NOON + 5 * HOUR)

    def test_after_the_reset_a_failed_probe_keeps_the_account_out_for_a_minute(self, world: World) -> None:
        world.exhaust(hours=1, whole_account=True)
        world.later(HOUR)
        world.enter().failed(Fault.PLAN_OVERLOADED)
        assert world.circuits.describe("key-1", "haiku") == "open until 2026-11-23T13:01:00Z plan_overloaded"
        world.later(60)
        assert world.enter(HAIKU).is_probe

    def test_an_account_probe_that_finds_one_family_exhausted_frees_the_others(self, world: World) -> None:
        world.exhaust(whole_account=True)
        world.later(1800)
        world.exhaust()
        assert world.is_refused(OPUS)
        assert not world.is_refused(HAIKU)

    def test_a_family_probe_is_given_back_when_the_account_is_exhausted(self, world: World) -> None:
        world.fail(3)
        world.later(60)
        world.exhaust(hours=1 / 60, whole_account=True)
        world.later(60)
        world.enter().succeeded()
        assert world.circuits.snapshot() == []

    def test_a_daily_quota_holds_until_midnight_however_far_that_is(self, world: World) -> None:
        world.enter(NOVA).failed(Fault.BEDROCK_QUOTA, NOON + 12 * HOUR)
        world.later(12 * HOUR - 1)
        assert world.is_refused(NOVA)
        world.later(1)
        assert world.enter(NOVA).is_probe

    def test_who_insists_passes_and_the_circuit_does_not_hear_of_it(self, world: World) -> None:
        world.fail(3)
        insisting = world.circuits.insist(OPUS)
        insisting.succeeded()
        world.circuits.insist(HAIKU).failed(Fault.PLAN_TIMEOUT)
        assert world.is_refused(OPUS)
        assert not world.is_refused(HAIKU)

    def test_bedrock_stays_closed_until_the_announced_reset(self, world: World) -> None:
        world.enter(NOVA).failed(Fault.BEDROCK_QUOTA, NOON + 2 * HOUR, True)
        world.later(2 * HOUR - 1)
        assert world.is_refused(NOVA)
        assert not world.is_refused()
        world.later(1)
        assert world.enter(NOVA).is_probe


class TestLogins:
    def test_the_rejected_login_stays_out_and_another_goes_through(self, world: World) -> None:
        world.exhaust(b"old", whole_account=True)
        assert world.is_refused(OPUS, b"old")
        assert world.is_refused(OPUS, b"")
        assert world.enter(HAIKU, b"new").is_probe

    def test_every_request_of_the_other_login_goes_through_at_the_same_time(self, world: World) -> None:
        world.exhaust(b"old", whole_account=True)
        assert world.enter(OPUS, b"new").is_probe
        assert world.enter(OPUS, b"new").is_probe

    def test_a_success_of_the_other_login_closes(self, world: World) -> None:
        world.exhaust(b"old", whole_account=True)
        world.enter(OPUS, b"new").succeeded()
        assert world.circuits.snapshot() == []
        assert world.states_told() == [("*", State.OPEN), ("*", State.CLOSED)]

    def test_two_exhausted_logins_are_both_kept_out(self, world: World) -> None:
        world.exhaust(b"first", whole_account=True)
        world.exhaust(b"second", hours=6, whole_account=True)
        assert world.is_refused(OPUS, b"first")
        assert world.is_refused(OPUS, b"second")
        assert world.circuits.snapshot()[0].until == NOON + 6 * HOUR

    def test_an_exhausted_login_may_come_back_at_its_own_reset(self, world: World) -> None:
        world.exhaust(b"first", hours=1, whole_account=True)
        world.exhaust(b"second", hours=5, whole_account=True)
        world.later(HOUR)
        world.enter(OPUS, b"first").neutral()
        world.enter(OPUS, b"first").succeeded()
        assert world.circuits.snapshot() == []

    def test_a_good_and_an_exhausted_login_in_turn_flap_once(self, world: World) -> None:
        world.exhaust(b"spent", whole_account=True)
        world.enter(OPUS, b"good").succeeded()
        world.exhaust(b"spent", whole_account=True)
        world.enter(OPUS, b"good").succeeded()
        assert world.is_refused(OPUS, b"spent")
        world.enter(OPUS, b"good").succeeded()
        assert [state for _, state in world.states_told()] == [State.OPEN, State.CLOSED, State.OPEN]

    def test_the_same_login_may_close_again_after_a_probe_interval(self, world: World) -> None:
        world.exhaust(b"spent", whole_account=True)
        world.enter(OPUS, b"good").succeeded()
        world.exhaust(b"spent", whole_account=True)
        world.later(1790)
        world.enter(OPUS, b"good").succeeded()
        assert world.is_refused(OPUS, b"spent")
        world.later(10)
        world.enter(OPUS, b"good").succeeded()
        assert world.circuits.snapshot() == []

    def test_another_login_that_fails_is_held_off_for_a_minute(self, world: World) -> None:
        world.exhaust(b"old")
        world.enter(OPUS, b"new").failed(Fault.PLAN_TIMEOUT)
        assert world.is_refused(OPUS, b"new")
        world.later(60)
        assert world.enter(OPUS, b"new").is_probe

    def test_failures_of_another_login_count_in_its_family(self, world: World) -> None:
        world.exhaust(b"old", whole_account=True)
        for _ in range(3):
            world.enter(OPUS, b"new").failed(Fault.PLAN_OVERLOADED)
        assert world.is_refused(OPUS, b"new")
        assert not world.is_refused(HAIKU, b"new")

    def test_the_reset_of_the_only_login_brings_one_probe(self, world: World) -> None:
        world.exhaust(b"login", hours=1, whole_account=True)
        world.later(HOUR)
        assert world.enter(OPUS, b"login").is_probe
        assert world.is_refused(OPUS, b"login")

    def test_once_open_for_failures_no_login_passes_any_more(self, world: World) -> None:
        world.exhaust(b"old", hours=1)
        world.later(HOUR)
        world.enter(OPUS, b"old").failed(Fault.PLAN_OVERLOADED)
        assert world.is_refused(OPUS, b"new")

    def test_a_circuit_open_for_failures_asks_for_no_login(self, world: World) -> None:
        world.fail(3)
        assert world.is_refused(OPUS, b"any")

    def test_neither_credential_nor_digest_shows_in_a_repr(self, world: World) -> None:
        world.exhaust(b"s3cret", whole_account=True)
        digest = world.told[0].condition.credential
        shown = repr((world.told, world.circuits.snapshot(), world.circuits.admit(OPUS, b"s3cret"), world.enter(OPUS, b"x")))
        assert len(digest) == 16
        assert digest not in shown
        assert "s3cret" not in shown


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
