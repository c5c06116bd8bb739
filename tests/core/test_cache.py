"""The cache is bounded, forgets the least recently used first, and keeps stale values for when their source is away."""

from __future__ import annotations

from core.cache import Cache


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def filled(capacity: int = 3) -> tuple[Cache[str, int], Clock]:
    clock = Clock()
    cache: Cache[str, int] = Cache(capacity, clock)
    cache.put("a", 1, fresh_s=60, stale_s=900)
    return cache, clock


def test_a_value_is_fresh_until_its_time_is_over() -> None:
    cache, clock = filled()

    clock.now += 59.9
    assert cache.get("a") == 1
    clock.now += 0.1
    assert cache.get("a") is None


def test_a_stale_value_stands_in_until_its_second_time_is_over() -> None:
    cache, clock = filled()

    clock.now += 899.9
    assert (cache.get("a"), cache.get_stale("a")) == (None, 1)
    clock.now += 0.1
    assert cache.get_stale("a") is None
    assert len(cache) == 0


def test_a_value_without_stale_time_stands_in_only_while_it_is_fresh() -> None:
    cache, clock = filled()
    cache.put("b", 2, fresh_s=5)

    assert cache.get_stale("b") == 2
    clock.now += 5
    assert cache.get_stale("b") is None


def test_the_least_recently_used_leaves_first() -> None:
    cache, _ = filled(capacity=2)
    cache.put("b", 2, 60)
    cache.get("a")
    cache.put("c", 3, 60)

    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    assert len(cache) == 2


def test_putting_again_replaces_value_and_times() -> None:
    cache, clock = filled()
    clock.now += 50
    cache.put("a", 2, fresh_s=60)

    clock.now += 50
    assert cache.get("a") == 2
    assert len(cache) == 1


def test_expired_values_are_asked_for_again_but_stand_in() -> None:
    cache, _ = filled()
    cache.expire()

    assert (cache.get("a"), cache.get_stale("a")) == (None, 1)
    cache.put("a", 5, 60)
    assert cache.get("a") == 5


def test_dropped_and_cleared_values_do_not_even_stand_in() -> None:
    cache, _ = filled()
    cache.put("b", 2, 60)
    cache.drop("a")
    cache.drop("never there")

    assert (cache.get_stale("a"), cache.get_stale("b")) == (None, 2)
    cache.clear()
    assert cache.get_stale("b") is None
