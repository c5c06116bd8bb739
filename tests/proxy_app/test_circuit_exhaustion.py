"""A plan that is used up, and logins that are refused: what closes, for whom, and until when."""

from __future__ import annotations

from proxy_app.circuits import Refused, State
from proxy_app.faults import Fault
from tests.proxy_app.circuit_world import HAIKU, HOUR, NOON, NOVA, OPUS, World
from tests.proxy_app.circuit_world import world as world


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
