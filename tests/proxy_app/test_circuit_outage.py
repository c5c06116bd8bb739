"""Counting the keys that cannot reach the Plan."""

from __future__ import annotations

from proxy_app.circuit_outage import OutageWatch


def test_counting_starts_anew_after_an_outage_was_found() -> None:
    watch = OutageWatch(keys=2, window_s=30.0)
    assert not watch.note("a", 0.0)
    assert watch.note("b", 0.0)
    assert watch.is_empty
    assert not watch.note("b", 1.0)


def test_a_key_counts_from_its_latest_failure() -> None:
    watch = OutageWatch(keys=2, window_s=30.0)
    watch.note("a", 0.0)
    watch.note("a", 29.0)
    assert watch.note("b", 58.0)


def test_failures_older_than_a_request_that_was_served_are_disproved() -> None:
    watch = OutageWatch(keys=2, window_s=30.0)
    watch.note("a", 5.0)
    watch.disprove(5.0)
    assert not watch.is_empty
    watch.disprove(5.1)
    assert watch.is_empty
