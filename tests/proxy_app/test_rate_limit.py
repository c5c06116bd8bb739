"""A limit of messages a minute: never more, never fewer than it says, and an answer that tells how long to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Grant, Strategy
from proxy_app.call import Endpoint
from proxy_app.errors import Refused, error_reply
from proxy_app.rate_limit import RateLimits


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def grant(limit: int | None, key: str = "key_1") -> Grant:
    return Grant("usr_1", key, Strategy.PLAN_FIRST, (), limit)


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 8))
def test_in_no_minute_more_passes_than_the_limit_and_nothing_is_refused_below_it(pauses: list[float], limit: int) -> None:
    clock = Clock()
    rates, passed = RateLimits(clock), list[float]()
    for pause in pauses:
        clock.now += pause
        before = [moment for moment in passed if clock.now - moment < 60]
        admitted = rates.admit("key_1", limit) == 0
        assert admitted == (len(before) < limit)
        passed += [clock.now] if admitted else []


def test_after_the_wait_that_was_told_the_next_one_passes_and_not_before() -> None:
    clock = Clock()
    rates = RateLimits(clock)
    assert [rates.admit("key_1", 2), rates.admit("key_1", 2)] == [0, 0]
    clock.now += 10.25
    wait_s = rates.admit("key_1", 2)

    assert wait_s == 49.75
    clock.now += wait_s - 0.25
    assert rates.admit("key_1", 2) == 0.25
    clock.now += 0.25
    assert rates.admit("key_1", 2) == 0


def test_a_lowered_limit_counts_with_what_was_let_through_before() -> None:
    clock = Clock()
    rates = RateLimits(clock)
    for _ in range(5):
        assert rates.admit("key_1", 5) == 0
        clock.now += 1
    assert rates.admit("key_1", 2) == 58  # the second-last of the five leaves the minute

    assert rates.admit("key_1", 6) == 0


def test_one_key_does_not_use_up_the_limit_of_another() -> None:
    rates = RateLimits(Clock())

    assert [rates.admit("key_1", 1), rates.admit("key_2", 1), rates.admit("key_1", 1)] == [0, 0, 60]


def test_memory_is_bounded() -> None:
    rates = RateLimits(Clock(), capacity=2)

    assert [rates.admit(key, 1) for key in ("a", "b", "c", "b", "a")] == [0, 0, 0, 60, 0]


@pytest.mark.parametrize("endpoint", [Endpoint.COUNT_TOKENS, Endpoint.MODELS, Endpoint.PASSTHROUGH])
def test_nothing_but_messages_counts_or_is_refused(endpoint: Endpoint) -> None:
    rates = RateLimits(Clock())
    for _ in range(30):
        rates.check(grant(1), endpoint)

    rates.check(grant(1), Endpoint.MESSAGES)
    with pytest.raises(Refused):
        rates.check(grant(1), Endpoint.MESSAGES)
    rates.check(grant(1), endpoint)


def test_a_key_without_a_limit_is_never_refused() -> None:
    rates = RateLimits(Clock())
    for _ in range(1000):
        rates.check(grant(None), Endpoint.MESSAGES)


def test_the_answer_says_the_limit_and_when_to_come_back_and_that_it_helps() -> None:
    rates = RateLimits(Clock())
    rates.check(grant(1), Endpoint.MESSAGES)
    with pytest.raises(Refused) as caught:
        rates.check(grant(1), Endpoint.MESSAGES)

    reply = error_reply(caught.value, "req_1")
    headers = dict(reply.headers)
    assert (reply.status, reply.error_type) == (429, "rate_limit_error")
    assert (headers["retry-after"], headers["x-should-retry"]) == ("60", "true")
    assert not any(name.startswith("anthropic-ratelimit") for name in headers)
    assert b"claude-code-proxy: this access key may send 1 messages a minute" in b"".join(reply.body)
