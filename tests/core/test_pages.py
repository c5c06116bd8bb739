"""How numbers, browsers and values are written for people."""

from __future__ import annotations

import pytest

from core.numerals import many
from core.pages import browser, compact, fine_money, lasted, money, plainly

CHROME = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/604.1"
)


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0"), (999, "999"), (1000, "1.00\u00a0k"), (12_345, "12.3\u00a0k"), (1_200_000, "1.20\u00a0M")]
)
def test_large_numbers_are_three_digits_and_a_unit_that_stays_on_their_line(number: int, shown: str) -> None:
    assert compact(number) == shown


@pytest.mark.parametrize(("micros", "sum_shown", "one_shown"), [(0, "$0.00", "$0.00"), (1_234, "$0.01", "$0.0013")])
def test_a_sum_is_in_cents_and_the_cost_of_one_request_in_parts_of_them(micros: int, sum_shown: str, one_shown: str) -> None:
    assert (money(micros), fine_money(micros)) == (sum_shown, one_shown)


def test_one_thing_is_not_many() -> None:
    assert (many(1, "error"), many(1200, "error")) == ("1 error", "1,200 errors")


@pytest.mark.parametrize(
    ("user_agent", "shown"),
    [
        (CHROME, "Chrome 156 on macOS"),
        (f"{CHROME} Edg/156.0.0.0", "Edge 156 on macOS"),
        (SAFARI, "Safari 19 on iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:152.0) Gecko/20100101 Firefox/152.0", "Firefox 152 on Linux"),
        ("curl/8.14.1", "curl/8.14.1"),
    ],
)
def test_a_browser_is_named_as_people_name_it(user_agent: str, shown: str) -> None:
    assert browser(user_agent) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "yes"),
        (False, "no"),
        (None, "–"),
        ([], "–"),
        (0, "0"),
        (["global", "us"], "global, us"),
        ("2026-11-28T13:05:01.820350+00:00", "2026-11-28 13:05 UTC"),
        ("since 2026-11-28T13:05:01Z", "since 2026-11-28T13:05:01Z"),
    ],
)
def test_a_value_of_a_document_is_written_plainly(value: object, shown: str) -> None:
    assert plainly(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86_400, "1 d"),
        (360_000, "4 d 4 h"),
    ],
)
def test_how_long_something_lasted_is_told_in_two_units_that_matter(seconds: int, shown: str) -> None:
    assert lasted(seconds) == shown
