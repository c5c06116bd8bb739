"""Circuits in the running product (SPEC sections 4 and 5): who is kept from the Plan, for how long, and what each request waits.

Times are settings, lowered: a probe every 2 s, at most 1 s open after failures, 4 s for a first byte.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest

from tests.live.asking import OPUS, abandoned, ask, at_once, await_true, line_of, was_skipped

STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
PROBE_S, OPEN_S, FIRST_BYTE_S = 2.0, 1.0, 4.0


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {
        "PROXY_CIRCUIT_PROBE_S": str(PROBE_S),
        "PROXY_CIRCUIT_RESET_S": str(OPEN_S),
        "PROXY_FIRST_BYTE_TIMEOUT_S": str(FIRST_BYTE_S),
        "PROXY_RESPONSE_TIMEOUT_S": str(FIRST_BYTE_S),
    }


def _await_time(seconds: float) -> None:
    """Let the product's own time pass."""
    due = time.monotonic() + seconds
    await_true(lambda: time.monotonic() > due)


def _has_seen(stack: Any, posts: int) -> bool:
    return len(stack.plan_posts()) == posts


def _app_lines(stack: Any, developer: Any, message: str) -> list[dict[str, Any]]:
    lines = [line for line in stack.product.logs() if line["message"] == message]
    return [line["context"] for line in lines if line["context"].get("access_key_id") == developer.access_key_id]


@STREAMS
def test_the_key_that_is_used_up_is_skipped_and_another_key_is_not_touched(stack: Any, stream: bool) -> None:
    tired, fresh = stack.developer(), stack.developer()
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    ask(tired, stream=stream)
    skipped = at_once(10, lambda: ask(tired, stream=stream))
    assert [each.came_from_bedrock("plan_exhausted") for each in skipped] == [True] * 10
    assert ask(fresh, stream=stream).came_from_plan
    assert len(stack.plan_posts()) == 2


@STREAMS
def test_another_login_of_the_same_key_goes_to_the_plan(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", match={"credential": "sk-ant-tired"}, reset=600)
    assert ask(developer, stream=stream, credential="sk-ant-tired").came_from_bedrock("plan_exhausted")
    began = time.monotonic()
    assert ask(developer, stream=stream, credential="sk-ant-fresh").came_from_plan
    before = len(stack.plan_posts())
    for _ in range(5):  # two logins in turn do not make the circuit flap
        assert ask(developer, stream=stream, credential="sk-ant-fresh").came_from_plan
        assert ask(developer, stream=stream, credential="sk-ant-tired").came_from_bedrock("plan_exhausted")
    probes = int((time.monotonic() - began) / PROBE_S)  # at each the one is tried again, and the other may close the circuit
    assert len(stack.plan_posts()) - before <= 6 + 2 * probes


@STREAMS
def test_a_window_of_one_family_leaves_the_others_on_the_plan(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted_model", family="opus", reset=600)
    assert [ask(developer, stream=stream, model=OPUS).came_from_bedrock("plan_exhausted") for _ in range(3)] == [True] * 3
    assert [ask(developer, stream=stream).came_from_plan for _ in range(3)] == [True] * 3
    assert [each["model"] for each in stack.plan_posts()].count(OPUS) == 1


@STREAMS
def test_an_exhausted_plan_is_probed_by_exactly_one_of_fifty_requests_and_the_others_do_not_wait(
    stack: Any, stream: bool
) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    ask(developer, stream=stream)
    assert ask(developer, stream=stream).came_from_bedrock("plan_exhausted")
    stack.anthropic.fault("slow_first_byte", s=FIRST_BYTE_S - 1)
    _await_time(PROBE_S)
    answers = at_once(50, lambda: ask(developer, stream=stream))
    assert len(stack.plan_posts()) == 2, "one that was refused, one probe"
    assert sorted(each.provider for each in answers) == ["bedrock"] * 49 + ["plan"]
    assert sorted(each.seconds for each in answers)[48] < FIRST_BYTE_S - 1
    stack.anthropic.clear_faults()
    assert [each.came_from_plan for each in at_once(5, lambda: ask(developer, stream=stream))] == [True] * 5


@STREAMS
def test_after_the_reset_exactly_one_of_fifty_requests_tries_the_plan(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", times=1, reset=2)
    ask(developer, stream=stream)
    stack.anthropic.fault("slow_first_byte", s=FIRST_BYTE_S - 1)
    _await_time(2.0)
    answers = at_once(50, lambda: ask(developer, stream=stream))
    assert sorted(each.provider for each in answers) == ["bedrock"] * 49 + ["plan"]
    assert len(stack.plan_posts()) == 2


@STREAMS
def test_a_probe_that_is_refused_keeps_the_plan_closed_until_the_next(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", reset=600)
    ask(developer, stream=stream)
    _await_time(PROBE_S)
    refused = [ask(developer, stream=stream) for _ in range(5)]
    assert [each.came_from_bedrock("plan_exhausted") for each in refused] == [True] * 5
    assert [was_skipped(stack, each) for each in refused] == [False, True, True, True, True]


def test_a_plan_that_hangs_is_waited_for_once_and_then_not_at_all(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("hang")
    first, second = ask(developer), ask(developer)
    assert first.came_from_bedrock("plan_timeout")
    assert second.came_from_bedrock("plan_timeout")
    assert first.seconds >= FIRST_BYTE_S
    assert second.seconds < FIRST_BYTE_S / 2
    assert line_of(stack, first)["circuit"].startswith("open until ")


def test_an_answer_that_was_waited_for_in_vain_is_not_paid_twice_but_the_next_goes_to_bedrock(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("hang")
    first, second = ask(developer, stream=False), ask(developer, stream=False)
    assert (first.status, first.error_type, first.provider) == (504, "timeout_error", "")
    assert first.json["request_id"] == first.request_id
    assert second.came_from_bedrock("plan_timeout")
    assert second.seconds < FIRST_BYTE_S / 2
    assert len(stack.bedrock_posts()) == 1


@STREAMS
def test_opening_and_closing_are_told_in_the_log(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded", times=3)
    for _ in range(3):
        ask(developer, stream=stream)
    opened = await_true(lambda: _app_lines(stack, developer, "circuit open"))
    assert [(each["fault"], each["provider"], each["family"]) for each in opened] == [("plan_overloaded", "plan", "sonnet")]
    assert opened[0]["until"] > time.time() - 5
    _await_time(OPEN_S)
    assert ask(developer, stream=stream).came_from_plan
    assert len(await_true(lambda: _app_lines(stack, developer, "circuit closed"))) == 1


@STREAMS
def test_a_failed_probe_opens_the_circuit_again(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded", times=4)
    for _ in range(3):
        ask(developer, stream=stream)
    _await_time(OPEN_S)
    probe, behind = ask(developer, stream=stream), ask(developer, stream=stream)
    assert [each.came_from_bedrock("plan_overloaded") for each in (probe, behind)] == [True, True]
    assert [was_skipped(stack, each) for each in (probe, behind)] == [False, True]
    _await_time(OPEN_S)
    assert ask(developer, stream=stream).came_from_plan


@STREAMS
def test_a_client_that_leaves_its_probe_gives_it_to_the_next(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    ask(developer, stream=stream)
    stack.anthropic.fault("hang", times=1)
    _await_time(PROBE_S)
    with abandoned(developer, stream=stream):
        await_true(lambda: len(stack.plan_posts()) == 2)
    await_true(lambda: stack.plan_posts()[1]["closed_by_client_at"] is not None)
    await_true(lambda: ask(developer, stream=stream).came_from_plan, timeout_s=5)


@STREAMS
def test_a_client_that_leaves_is_no_failure_of_the_plan(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("hang", times=3)
    for number in range(3):
        with abandoned(developer, stream=stream):
            await_true(partial(_has_seen, stack, number + 1))
    await_true(lambda: all(each["closed_by_client_at"] for each in stack.plan_posts()))
    assert ask(developer, stream=stream).came_from_plan


@STREAMS
def test_a_bedrock_circuit_spares_a_fallback_the_wait_for_a_bedrock_that_hangs(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("error_503", message="words of the plan")
    stack.bedrock.fault("model_timeout", times=2)  # one for each id under which the model can be reached
    stack.bedrock.fault("hang")
    answers = [ask(developer, stream=stream) for _ in range(3)]
    assert [(each.status, each.provider) for each in answers] == [(503, "plan")] * 3
    assert answers[2].seconds < FIRST_BYTE_S / 2
    assert len(stack.bedrock_posts()) == 2
