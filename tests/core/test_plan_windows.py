"""What Anthropic's answers say of a plan's windows, read without trust."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from core.plan_windows import PREFIX, PlanWindow, PlanWindows, read_windows


def read(**said: str) -> PlanWindows | None:
    return read_windows([(PREFIX + name.replace("_", "-").lstrip("-"), value) for name, value in said.items()], seen_at=100.0)


def test_each_window_has_its_share_and_its_reset() -> None:
    headers = [
        (f"{PREFIX}status", "allowed_warning"),
        (f"{PREFIX}representative-claim", "five_hour"),
        (f"{PREFIX}5h-status", "allowed_warning"),
        (f"{PREFIX}5h-utilization", "0.91"),
        (f"{PREFIX}5h-reset", "1795435200"),
        (f"{PREFIX}7d_opus-utilization", "1.04"),
        ("request-id", "req_1"),
    ]
    read_back = read_windows(headers, seen_at=100.0)
    windows = (PlanWindow("5h", "allowed_warning", 0.91, 1795435200.0), PlanWindow("7d_opus", "", 1.04, None))
    assert read_back == PlanWindows(100.0, "allowed_warning", "five_hour", windows=windows)


def test_paid_overage_is_told_apart() -> None:
    found = read(_status="rejected", _overage_in_use="true", _overage_status="allowed", _overage_utilization="0.2")
    assert found is not None
    assert (found.overage_in_use, found.window("overage")) == (True, PlanWindow("overage", "allowed", 0.2, None))


def test_an_answer_to_an_api_key_says_nothing_of_a_plan() -> None:
    assert read_windows([("anthropic-ratelimit-requests-limit", "4000"), ("content-type", "application/json")], 1.0) is None


def test_a_value_that_makes_no_sense_is_left_out() -> None:
    headers = {"5h-utilization": "NaN", "5h-reset": "soon", "7d-utilization": "-1", "7d-reset": "1e300", "status": "allowed"}
    found = read_windows([(PREFIX + name, value) for name, value in headers.items()], 1.0)
    assert found is not None
    assert found.windows == (PlanWindow("5h"), PlanWindow("7d"))


names = st.text(string.ascii_lowercase + string.digits + "-_", max_size=40)


@given(st.dictionaries(names | st.sampled_from(["status", "5h-reset", "7d-utilization"]), st.text(max_size=30), max_size=60))
def test_whatever_is_sent_what_comes_out_is_small_and_fits_its_columns(said: dict[str, str]) -> None:
    found = read_windows([(PREFIX + name, value) for name, value in {"status": "allowed", **said}.items()], 1.0)
    windows = () if found is None else found.windows
    assert len(windows) <= 12
    assert all(len(window.name) <= 20 and len(window.status) <= 40 for window in windows)
