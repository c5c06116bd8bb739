"""An event loop that stands still is measured, and told without a flood."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from core.hub_watch import LOOK_S, HubWatch


class Loop:
    """Time that passes as it is told: each sleep takes so much longer than asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.late: Iterator[float] = iter(())

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds + next(self.late)


@pytest.fixture
def loop() -> Loop:
    return Loop()


def after(loop: Loop, *late: float) -> HubWatch:
    watch = HubWatch(loop.clock, loop.pause)
    loop.late = iter(late)
    for _ in late:
        watch.look()
    return watch


def test_the_longest_stand_still_is_kept_until_it_is_taken(loop: Loop) -> None:
    watch = after(loop, 0.001, 0.08, 0.0)
    assert watch.worst_ms == 80.0
    assert (watch.begin_anew(), watch.worst_ms, watch.begin_anew(), watch.worst_ms) == (80.0, 80.0, 0.0, 0.0)


def test_a_long_one_is_told_once_a_minute(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        after(loop, 0.24, 0.3, 5.0, 0.4, 61.0)
    told = [record.context["lag_ms"] for record in caplog.records]  # type: ignore[attr-defined]
    assert told == [300, 61_000]


def test_a_sleep_that_ends_early_is_no_lag(loop: Loop) -> None:
    assert after(loop, -LOOK_S / 2).worst_ms == 0.0
