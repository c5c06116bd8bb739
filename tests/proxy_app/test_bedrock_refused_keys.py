"""A key or a model that AWS refuses: who is told, what goes on, and what the client sees of it."""

from __future__ import annotations

from typing import Any

import pytest

from proxy_app.faults import Fault, NotAsked
from tests.proxy_app.bedrock_world import (
    DENIED,
    EXPIRED,
    SERVED,
    THROTTLED,
    World,
    refusal,
)
from tests.proxy_app.bedrock_world import world as world
from tests.proxy_app.scripted import KEY, OTHER_KEY

# --- keys that AWS refuses


def test_a_key_that_aws_refuses_is_reported_once_and_the_next_one_serves(world: World) -> None:
    reply = world.open(refusal(*EXPIRED), refusal(*EXPIRED), SERVED, keys=(KEY, OTHER_KEY))
    assert reply.bedrock_key_id == OTHER_KEY.id
    assert world.told == [(KEY.id, "auth", True)]


def test_a_key_that_is_accepted_under_another_id_is_not_reported(world: World) -> None:
    world.open(refusal(*EXPIRED), SERVED)
    world.fails(refusal(*EXPIRED), refusal(*THROTTLED), body={"model": "claude-opus-5-5", "messages": []})
    assert world.told == []


OPUS: dict[str, Any] = {"model": "claude-opus-5-5", "messages": []}
FORM = (404, "ResourceNotFoundException", "Model use case details have not been submitted for this account 123456789012.")
RETENTION = (400, "ValidationException", "data retention mode 'default' is not available for this model")


def test_a_denied_model_is_told_of_and_takes_no_key_out_of_use(world: World) -> None:
    world.fails(refusal(*DENIED), refusal(*DENIED), body=OPUS)
    assert world.open(SERVED).status == 200
    assert world.told == [(KEY.id, "not_entitled", False)]
    assert world.troubles[0].reason.startswith("us.anthropic.claude-opus-5-5: ")
    assert "words of AWS" not in world.troubles[0].reason


def test_a_denied_model_is_not_asked_for_again_until_its_circuit_lets_a_probe_through(world: World) -> None:
    world.fails(refusal(*DENIED), refusal(*DENIED), body=OPUS)
    assert isinstance(world.fails(body=OPUS), NotAsked)
    world.clock.now += 61
    assert world.open(SERVED, body=OPUS).status == 200


@pytest.mark.parametrize(("kind", "named"), [(FORM, "use_case_form"), (RETENTION, "data_retention")])
def test_what_an_account_has_not_agreed_to_is_told_and_its_other_models_go_on(world: World, kind: Any, named: str) -> None:
    reply = world.open(refusal(*kind), SERVED, keys=(KEY, OTHER_KEY), body=OPUS)
    assert reply.bedrock_key_id == OTHER_KEY.id
    assert world.told == [(KEY.id, named, False)]
    assert world.open(SERVED).bedrock_key_id == KEY.id


def test_a_denial_behind_which_no_id_exists_is_told_all_the_same(world: World) -> None:
    world.fails(refusal(*DENIED), refusal(400, "ValidationException", "The provided model identifier is invalid."))
    assert world.told == [(KEY.id, "not_entitled", False)]


def test_a_daily_quota_of_one_model_leaves_the_others_of_the_key_in_use(world: World) -> None:
    day = (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.")
    world.fails(refusal(*day), refusal(*day), body=OPUS)
    assert isinstance(world.fails(body=OPUS), NotAsked)
    assert world.open(SERVED).status == 200
    assert world.told == []


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        (THROTTLED, {"retry-after": "5", "x-should-retry": "true"}),
        ((400, "ServiceQuotaExceededException"), {"x-should-retry": "false"}),
        (DENIED, {"x-should-retry": "false"}),
        (EXPIRED, {"x-should-retry": "false"}),
    ],
)
def test_a_client_is_told_whether_trying_again_can_help(world: World, kind: Any, headers: dict[str, str]) -> None:
    error = world.fails(refusal(*kind), refusal(*kind))
    assert error.answer is not None
    told = {name: value for name, value in error.answer.headers if name in ("retry-after", "x-should-retry")}
    assert told == headers


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (EXPIRED, Fault.BEDROCK_AUTH),
        (DENIED, Fault.BEDROCK_DENIED),
        ((401, "UnrecognizedClientException"), Fault.BEDROCK_AUTH),
    ],
)
def test_the_client_sees_neither_a_401_nor_a_403_nor_the_words_of_aws(world: World, kind: Any, fault: Fault) -> None:
    error = world.fails(refusal(*kind), refusal(*kind))
    assert error.answer is not None
    body = b"".join(error.answer.body)
    assert (error.fault, error.answer.status, b"123456789012" in body) == (fault, 529, False)
