"""Guessing passwords gets slow; signing in does not."""

from __future__ import annotations

import pytest

from admin_app.throttle import Throttle

HOME, AWAY, OWNER = "198.51.100.7", "203.0.113.9", "admin"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock)


def guess(throttle: Throttle, times: int, address: str = AWAY, account: str = OWNER) -> list[float]:
    return [throttle.attempt(address, account) for _ in range(times)]


def test_five_attempts_are_free_and_the_sixth_has_to_wait(throttle: Throttle) -> None:
    assert guess(throttle, 6) == [0, 0, 0, 0, 0, 1.0]


def test_many_attempts_at_once_count_although_none_has_ended_yet(throttle: Throttle) -> None:
    assert guess(throttle, 1000).count(0) == 5


def test_the_wait_doubles_up_to_five_minutes(throttle: Throttle, clock: Clock) -> None:
    guess(throttle, 5)
    waits = []
    for _ in range(11):
        waits.append(throttle.attempt(AWAY, "another name every time"))
        clock.now += waits[-1]
        throttle.attempt(AWAY, f"name {clock.now}")

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_the_wait_begins_when_the_check_is_over_however_long_that_took(throttle: Throttle, clock: Clock) -> None:
    guess(throttle, 5)
    clock.now += 10
    throttle.failed(AWAY, OWNER)
    early = throttle.attempt(AWAY, OWNER)
    clock.now += 1

    assert (early, throttle.attempt(AWAY, OWNER)) == (1, 0)


def test_a_device_that_signed_in_before_counts_for_itself_alone(throttle: Throttle) -> None:
    guess(throttle, 100)

    waits = [throttle.attempt(AWAY, OWNER, "device") for _ in range(6)]

    assert waits == [0, 0, 0, 0, 0, 1.0]


def test_an_attempt_that_had_to_wait_does_not_lengthen_the_wait(throttle: Throttle, clock: Clock) -> None:
    guess(throttle, 500)
    clock.now += 1

    assert throttle.attempt(AWAY, OWNER) == 0


def test_another_address_is_not_held_back(throttle: Throttle) -> None:
    guess(throttle, 6)

    assert throttle.attempt(HOME, OWNER) == 0


def test_a_success_forgives(throttle: Throttle) -> None:
    guess(throttle, 4, HOME)
    throttle.succeeded(HOME, OWNER)

    assert guess(throttle, 5, HOME) == [0] * 5


def test_one_account_guessed_from_many_addresses_gets_slow_too(throttle: Throttle) -> None:
    waits = [throttle.attempt(f"203.0.113.{number}", OWNER) for number in range(21)]

    assert (waits[:20], waits[20] > 0) == ([0] * 20, True)


def test_who_signed_in_from_there_before_is_not_locked_out_by_guesses_from_elsewhere(throttle: Throttle) -> None:
    throttle.succeeded(HOME, OWNER)
    for number in range(100):
        throttle.attempt(f"203.0.113.{number}", OWNER)

    assert throttle.attempt(HOME, OWNER) == 0


def test_an_hour_later_all_is_forgotten(throttle: Throttle, clock: Clock) -> None:
    guess(throttle, 6)
    clock.now += 3601

    assert guess(throttle, 5) == [0] * 5
