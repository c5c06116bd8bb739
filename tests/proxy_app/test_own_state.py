"""Who answers a developer now, and the status line that says it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.plan_windows import PlanWindow, PlanWindows
from core.types import BedrockKey, Grant, KeyHealth, ProviderName, Residency, Strategy
from proxy_app.circuits import ALL_FAMILIES, WORKER_WIDE, CircuitName, CircuitView, State
from proxy_app.faults import Fault
from proxy_app.own_state import OwnState, Purse, Serving, serving_of
from proxy_app.status_line import line_of

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0
DOLLAR = 1_000_000
PLAN, BEDROCK = ProviderName.PLAN, ProviderName.BEDROCK
WORKING = BedrockKey("bkey_1", "us-east-1", Residency.GLOBAL, KeyHealth.HEALTHY, "")
GRANT = Grant("usr_1", "key_1", Strategy.PLAN_FIRST, (WORKING,))
NOTHING = Purse(None, None)


def circuit(
    family: str, until: float = NOW + HOUR, state: State = State.OPEN, fault: Fault = Fault.PLAN_EXHAUSTED
) -> CircuitView:
    return CircuitView(CircuitName("key_1", PLAN, family), state, fault, until, NOW - 60, 1)


def state(*serving: Serving, windows: PlanWindows | None = None, user: Purse = NOTHING, key: Purse = NOTHING) -> OwnState:
    return OwnState(windows, serving or (Serving(ALL_FAMILIES, PLAN),), (), user, key)


def seen(*windows: PlanWindow) -> PlanWindows:
    return PlanWindows(NOW - 5, "allowed", windows=windows)


def test_with_every_circuit_closed_the_plan_serves_all() -> None:
    assert serving_of(GRANT, [], False) == (Serving(ALL_FAMILIES, PLAN),)


def test_an_open_account_sends_all_models_to_bedrock() -> None:
    assert serving_of(GRANT, [circuit(ALL_FAMILIES)], False) == (
        Serving(ALL_FAMILIES, BEDROCK, Fault.PLAN_EXHAUSTED, NOW + HOUR),
    )


def test_an_open_family_goes_to_bedrock_and_the_others_stay() -> None:
    opus, rest = serving_of(GRANT, [circuit("opus")], False)
    assert (opus.family, opus.provider, rest) == ("opus", BEDROCK, Serving(ALL_FAMILIES, PLAN))


def test_a_family_that_is_open_longer_than_the_account_has_its_own_line() -> None:
    lines = serving_of(GRANT, [circuit("opus", NOW + 2 * HOUR), circuit("sonnet", NOW + 60), circuit(ALL_FAMILIES)], False)
    assert [(line.family, line.until) for line in lines] == [("opus", NOW + 2 * HOUR), (ALL_FAMILIES, NOW + HOUR)]


def test_an_outage_that_the_whole_worker_sees_counts_for_the_key() -> None:
    outage = replace(circuit(ALL_FAMILIES), fault=Fault.PLAN_UNREACHABLE, name=WORKER_WIDE)
    assert serving_of(GRANT, [outage], False)[0].fault is Fault.PLAN_UNREACHABLE


def test_a_half_open_circuit_has_no_end_that_could_be_told() -> None:
    assert serving_of(GRANT, [circuit(ALL_FAMILIES, state=State.HALF_OPEN)], False)[0].until is None


def test_with_the_budget_spent_an_exhausted_plan_is_asked_all_the_same() -> None:
    assert serving_of(GRANT, [circuit(ALL_FAMILIES)], True)[0] == Serving(ALL_FAMILIES, PLAN, Fault.BUDGET_SPENT, NOW + HOUR)


@pytest.mark.parametrize(
    "grant",
    [
        replace(GRANT, strategy=Strategy.PLAN_ONLY),
        replace(GRANT, bedrock_keys=()),
        replace(GRANT, bedrock_keys=(replace(WORKING, health=KeyHealth.UNHEALTHY),)),
    ],
    ids=["plan only", "no Bedrock key", "a refused Bedrock key"],
)
def test_without_a_fallback_no_circuit_applies(grant: Grant) -> None:
    assert serving_of(grant, [circuit(ALL_FAMILIES)], False) == (Serving(ALL_FAMILIES, PLAN),)


def test_bedrock_only_is_bedrock_until_it_cannot_be_paid_or_reached() -> None:
    alone = replace(GRANT, strategy=Strategy.BEDROCK_ONLY)
    assert serving_of(alone, [circuit(ALL_FAMILIES)], False) == (Serving(ALL_FAMILIES, BEDROCK),)
    assert serving_of(alone, [], True) == (Serving(ALL_FAMILIES, None, Fault.BUDGET_SPENT),)
    assert serving_of(replace(alone, bedrock_keys=()), [], False) == (Serving(ALL_FAMILIES, None, Fault.BEDROCK_AUTH),)


@pytest.mark.parametrize(
    ("purse", "empty"), [(Purse(None, None), False), (Purse(5, 6), False), (Purse(6, 6), True), (Purse(None, 0), True)]
)
def test_a_purse_is_empty_when_what_was_spent_reaches_the_budget(purse: Purse, empty: bool) -> None:
    assert purse.is_empty is empty


def test_the_line_tells_the_plans_windows() -> None:
    windows = seen(
        PlanWindow("5h", "allowed", 0.42, NOW + HOUR), PlanWindow("7d", "allowed", 0.124, None), PlanWindow("7d_opus", "", 0.8)
    )
    assert line_of(state(windows=windows), NOW) == "Plan 5h 42% 7d 12% 7d opus 80%"


def test_the_line_leaves_out_what_is_over_unknown_or_beyond_the_plan() -> None:
    windows = seen(
        PlanWindow("5h", "rejected", 1.0, NOW - 1), PlanWindow("7d", "allowed", None, NOW + HOUR), PlanWindow("overage", "", 0.5)
    )
    assert line_of(state(windows=windows), NOW) == "Plan"


def test_the_line_tells_until_when_bedrock_serves_and_of_which_budget() -> None:
    serving = Serving(ALL_FAMILIES, BEDROCK, Fault.PLAN_EXHAUSTED, NOW + HOUR)
    told = state(serving, user=Purse(3_100_000, 50 * DOLLAR), key=Purse(3_000_000, 100 * DOLLAR))
    assert line_of(told, NOW) == "Bedrock until 13:00 UTC (plan exhausted) $3.10 of $50"


def test_the_line_names_the_budget_that_ends_first_and_the_day_if_it_is_another() -> None:
    serving = Serving(ALL_FAMILIES, BEDROCK, Fault.PLAN_EXHAUSTED, NOW + 72 * HOUR)
    told = state(serving, user=Purse(3_100_000, 50 * DOLLAR), key=Purse(3_000_000, 4_500_000))
    assert line_of(told, NOW) == "Bedrock until 11-30 12:00 UTC (plan exhausted) $3 of $4.50"


def test_the_line_tells_of_a_family_apart() -> None:
    opus = Serving("opus", BEDROCK, Fault.PLAN_EXHAUSTED, NOW + HOUR)
    told = state(opus, Serving(ALL_FAMILIES, PLAN), windows=seen(PlanWindow("5h", "allowed", 0.1, NOW + HOUR)))
    assert line_of(told, NOW) == "Plan 5h 10% · opus: Bedrock until 13:00 UTC (plan exhausted)"


@pytest.mark.parametrize(
    ("serving", "line"),
    [
        (Serving(ALL_FAMILIES, BEDROCK), "Bedrock"),
        (Serving(ALL_FAMILIES, BEDROCK, Fault.PLAN_TIMEOUT), "Bedrock (plan timeout)"),
        (Serving(ALL_FAMILIES, None, Fault.BUDGET_SPENT), "Bedrock budget spent"),
        (Serving(ALL_FAMILIES, None, Fault.BEDROCK_AUTH), "no working Bedrock key"),
        (Serving(ALL_FAMILIES, PLAN, Fault.BUDGET_SPENT, NOW + HOUR), "Plan limited until 13:00 UTC (Bedrock budget spent)"),
    ],
)
def test_the_line_has_words_for_every_way_to_serve(serving: Serving, line: str) -> None:
    assert line_of(state(serving), NOW) == line


def test_the_line_of_a_plan_without_fallback_tells_when_it_is_back() -> None:
    windows = seen(PlanWindow("5h", "rejected", 1.0, NOW + HOUR), PlanWindow("7d", "allowed", 0.9, NOW + 90 * HOUR))
    assert line_of(state(windows=windows), NOW) == "Plan used up until 13:00 UTC"


def test_a_window_of_one_model_that_is_used_up_does_not_make_the_plan_so() -> None:
    windows = seen(PlanWindow("7d_opus", "rejected", 1.0, NOW + HOUR))
    assert line_of(state(windows=windows), NOW) == "Plan 7d opus 100%"


def test_the_line_stays_short_whatever_models_were_asked_for() -> None:
    many = [Serving("x" * 60, BEDROCK, Fault.PLAN_UNREACHABLE, NOW + 72 * HOUR) for _ in range(50)]
    line = line_of(state(*many, Serving(ALL_FAMILIES, PLAN)), NOW)
    assert len(line) < 250
    assert "\n" not in line
