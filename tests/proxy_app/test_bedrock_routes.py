"""Which ids the Bedrock upstream tries for a model, what stands in for one that is not there, and what is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from core.model_ids import NewModel
from core.types import Residency
from proxy_app.faults import Fault
from tests.proxy_app.bedrock_world import DENIED, GLOBAL, LIMITS, SERVED, THROTTLED, US, World, refusal
from tests.proxy_app.scripted import BODY, KEY, OTHER_KEY

INVALID = (400, "ValidationException", "The provided model identifier is invalid.")
GEO_KEY = replace(KEY, residency=Residency.GEO)
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
QUOTED_ARN = ARN.replace("/", "%2F")
NINE = {**BODY, "model": "claude-sonnet-9", "temperature": 0.5, "thinking": {"type": "adaptive"}}
NINES = ["global.anthropic.claude-sonnet-9", "us.anthropic.claude-sonnet-9"]
A_DAY_S = 86_400.0


@pytest.fixture
def world() -> World:
    return World()


def ids(world: World) -> list[str]:
    return [model for _, model in world.asked]


# --- the order of prefixes, and the winner


@pytest.mark.parametrize("kind", [INVALID, DENIED], ids=["invalid identifier", "403 on global"])
def test_the_winner_is_remembered_for_a_day_and_then_global_may_be_back(world: World, kind: Any) -> None:
    world.open(refusal(*kind), SERVED)
    world.clock.now += A_DAY_S - 1
    world.open(SERVED)
    world.clock.now += 1
    world.open(SERVED)
    assert ids(world) == [GLOBAL, US, US, GLOBAL]


def test_a_winner_is_of_one_key_and_one_model(world: World) -> None:
    world.open(refusal(*INVALID), SERVED)
    world.open(SERVED, keys=(replace(KEY, id="bdk-9"),))
    world.open(SERVED, body={**BODY, "model": "claude-opus-5-5"})
    assert ids(world)[2:] == [GLOBAL, "global.anthropic.claude-opus-5-5"]


def test_a_key_that_must_now_stay_in_its_geography_forgets_a_winner_elsewhere(world: World) -> None:
    world.open(refusal(*THROTTLED), refusal(*INVALID), SERVED, keys=(GEO_KEY, KEY))
    world.open(SERVED, keys=(GEO_KEY,))
    assert ids(world)[-1] == US


def test_a_throttle_of_the_winner_tries_what_was_refused_before(world: World) -> None:
    world.open(refusal(*INVALID), SERVED)
    world.open(refusal(*THROTTLED), SERVED)
    assert ids(world) == [GLOBAL, US, US, GLOBAL]


# --- another model of the family


def test_an_unknown_model_is_asked_for_by_rule_first(world: World) -> None:
    assert world.open(SERVED, body=NINE).model_served == NINES[0]


def test_where_bedrock_does_not_know_it_the_newest_of_the_family_answers_and_that_is_said(world: World) -> None:
    reply = world.open(refusal(*INVALID), refusal(*INVALID), SERVED, body=NINE)
    assert ids(world) == [*NINES, GLOBAL]
    assert reply.model_served == GLOBAL
    assert reply.notes[-1] == "bedrock:instead(claude-sonnet-5-5)"


def test_it_is_asked_with_its_own_capabilities() -> None:
    row = NewModel("claude-sonnet-5-5", "anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929")
    world = World(rows=(row,))
    world.open(refusal(*INVALID), refusal(*INVALID), SERVED, body={**NINE, "max_tokens": 20_000})
    first, *_, last = [orjson.loads(request.body) for request in world.pool.requests]
    assert (first["thinking"]["type"], "budget_tokens" in first["thinking"]) == ("adaptive", False)
    assert (last["thinking"]["type"], "budget_tokens" in last["thinking"]) == ("enabled", True)


def test_what_stood_in_is_the_first_choice_next_time(world: World) -> None:
    world.open(refusal(*INVALID), refusal(*INVALID), SERVED, body=NINE)
    world.open(SERVED, body=NINE)
    world.open(refusal(*THROTTLED), SERVED, body=NINE)
    assert ids(world)[3:] == [GLOBAL, GLOBAL, US]


def test_a_denied_global_profile_and_an_unknown_id_together_mean_unknown(world: World) -> None:
    assert world.open(refusal(*DENIED), refusal(*INVALID), SERVED, body=NINE).model_served == GLOBAL


@pytest.mark.parametrize(
    "refusals", [(THROTTLED, INVALID), (INVALID, THROTTLED), (DENIED, DENIED)], ids=["throttled", "throttled next", "denied"]
)
def test_nothing_stands_in_for_a_model_that_may_be_there(world: World, refusals: Any) -> None:
    world.fails(*(refusal(*each) for each in refusals), body=NINE)
    assert ids(world) == NINES


def test_a_known_model_is_never_replaced(world: World) -> None:
    assert world.fails(refusal(*INVALID), refusal(*INVALID)).fault is Fault.BEDROCK_UNSUPPORTED
    assert ids(world) == [GLOBAL, US]


def test_under_geo_what_stands_in_stays_in_the_geography_too(world: World) -> None:
    world.open(refusal(*INVALID), SERVED, body=NINE, keys=(GEO_KEY,))
    assert ids(world) == [NINES[1], US]


# --- rows of administrators


def test_an_arn_for_one_key_is_asked_with_that_key_alone() -> None:
    world = World(rows=(NewModel("claude-sonnet-5-5", ARN, "claude-sonnet-5-5", bedrock_key_id=KEY.id),))
    reply = world.open(refusal(*THROTTLED), SERVED, keys=(KEY, replace(OTHER_KEY, region="us-east-1")))
    assert ids(world) == [QUOTED_ARN, US]
    assert reply.model_served == US


def test_a_request_is_repaired_for_the_model_that_the_arn_is_like() -> None:
    world = World(rows=(NewModel("team-model", ARN, "claude-sonnet-4-5-20250929"),))
    world.open(SERVED, body={**NINE, "model": "team-model", "max_tokens": 20_000})
    [request] = world.pool.requests
    assert orjson.loads(request.body)["thinking"]["type"] == "enabled"


# --- what cannot be, and the operator's cap


def test_seoul_under_geo_says_why_it_has_no_model(world: World) -> None:
    error = world.fails(keys=(replace(GEO_KEY, region="ap-northeast-2"),))
    assert (error.fault, error.wire) == (Fault.BEDROCK_UNSUPPORTED, (400, "invalid_request_error"))
    assert error.detail.endswith("ap-northeast-2 reaches it only through global profiles, and the Bedrock key's residency is geo")
    assert world.pool.requests == []


def test_the_operators_cap_is_kept_and_noted() -> None:
    world = World(limits=replace(LIMITS, max_tokens=2048))
    reply = world.open(SERVED, body={**BODY, "max_tokens": 64_000})
    [request] = world.pool.requests
    assert orjson.loads(request.body)["max_tokens"] == 2048
    assert reply.notes == ("bedrock:capped max_tokens at 2048",)
