"""The Bedrock upstream remembers what it was refused, for that key, once the corrected request was accepted."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy_app.lesson_book import Place
from tests.proxy_app.bedrock_world import SERVED, START, THROTTLED, World, refusal, stream
from tests.proxy_app.scripted import KEY, OTHER_KEY

AFK, TOKENS = "afk-mode-2026-01-31", "thinking-token-count-2026-05-13"
HEADERS = (("anthropic-beta", f"{AFK},{TOKENS}"),)
NAMED = refusal(400, "ValidationException", f"Unexpected value(s) `{AFK}` for the `anthropic-beta` header.")
UNNAMED = refusal(400, "ValidationException", "invalid beta flag")
HERE = Place(KEY.id, "us-east-1", "claude-sonnet-5-5")


@pytest.fixture
def world() -> World:
    return World()


def sent_betas(world: World) -> list[list[str]]:
    return [orjson.loads(request.body).get("anthropic_beta", []) for request in world.pool.requests]


def test_what_was_refused_is_left_out_of_the_next_request(world: World) -> None:
    reply = world.open(NAMED, SERVED, headers=HEADERS)
    world.open(SERVED, headers=HEADERS)
    assert sent_betas(world) == [[AFK, TOKENS], [TOKENS], [TOKENS]]
    assert reply.notes == ("bedrock:corrected(beta_or_field)", f"bedrock:learned(beta {AFK})")


def test_a_lesson_that_is_used_is_in_the_trace(world: World) -> None:
    world.open(NAMED, SERVED, headers=HEADERS)
    assert world.open(SERVED, headers=HEADERS).notes == (f"bedrock:dropped beta {AFK}",)


def test_another_bedrock_key_gets_what_it_accepts(world: World) -> None:
    world.open(NAMED, SERVED, headers=HEADERS)
    world.open(SERVED, headers=HEADERS, keys=(OTHER_KEY,))
    assert sent_betas(world)[-1] == [AFK, TOKENS]


def test_a_correction_for_one_key_is_not_taken_to_the_next_within_a_request(world: World) -> None:
    throttled = refusal(*THROTTLED)
    world.open(NAMED, throttled, throttled, SERVED, headers=HEADERS, keys=(KEY, OTHER_KEY))
    assert sent_betas(world) == [[AFK, TOKENS], [TOKENS], [TOKENS], [AFK, TOKENS]]
    assert world.lessons.waiting == []


@pytest.mark.parametrize("again", [NAMED, refusal(*THROTTLED), refusal(500, "InternalServerException")])
def test_nothing_is_remembered_when_the_corrected_request_was_not_answered(world: World, again: Any) -> None:
    world.fails(NAMED, again, again, headers=HEADERS)
    assert (world.lessons.waiting, world.lessons.of(HERE).marks) == ([], {})


def test_a_stream_teaches_with_its_first_event(world: World) -> None:
    world.open(NAMED, stream(START), headers=HEADERS, stream=True).body.close()
    assert world.lessons.of(HERE).refused.betas == {AFK}


def test_a_stream_that_breaks_before_its_first_event_teaches_nothing(world: World) -> None:
    world.fails(NAMED, stream(START[:20]), headers=HEADERS, stream=True)
    assert world.lessons.of(HERE).marks == {}


def test_a_refusal_without_a_name_is_solved_by_the_next_request(world: World) -> None:
    reply = world.open(UNNAMED, SERVED, headers=HEADERS)
    world.open(SERVED, headers=HEADERS)
    world.open(SERVED, headers=HEADERS)
    assert reply.notes[-1] == "bedrock:learned(one of 2 betas)"
    assert sent_betas(world) == [[AFK, TOKENS], [], [AFK], [AFK]]
    assert world.lessons.of(HERE).refused.betas == {TOKENS}


def test_while_one_request_asks_about_suspects_the_others_leave_them_behind(world: World) -> None:
    world.open(UNNAMED, SERVED, headers=HEADERS)
    world.lessons.begin_test(HERE)
    world.open(SERVED, headers=HEADERS)
    world.lessons.end_test(HERE)
    world.open(SERVED, headers=HEADERS)
    assert sent_betas(world)[-2:] == [[], [AFK]]


def test_a_request_that_fails_lets_the_next_one_ask(world: World) -> None:
    world.open(UNNAMED, SERVED, headers=HEADERS)
    world.fails(refusal(500, "InternalServerException"), headers=HEADERS)
    assert world.lessons.begin_test(HERE)
