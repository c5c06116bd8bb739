import json

import pytest

from benchmarks.bench import added
from benchmarks.figures import Bar, Figure, Section, percentile
from benchmarks.report import as_text
from benchmarks.targets import Name


def test_the_percentile_of_a_hundred_samples_is_the_next_greater_one() -> None:
    samples = [float(number) for number in range(100, 0, -1)]

    assert [percentile(samples, percent) for percent in (50, 95, 99)] == [51, 96, 100]


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [
        (4.0, False, "aim reached"),
        (50.0, False, "bar held, aim missed"),
        (101.0, False, "BAR MISSED"),
        (101.0, True, "bar held, aim missed"),
        (99.0, True, "BAR MISSED"),
    ],
)
def test_a_bar_says_whether_must_and_aim_are_reached(value: float, at_least: bool, verdict: str) -> None:
    bar = Bar("latency", value, must=100, aim=1e6 if at_least else 5, unit="ms", at_least=at_least)

    assert bar.verdict == verdict


def test_added_time_compares_a_target_with_the_direct_call_of_the_same_round() -> None:
    rounds = {Name.DIRECT: [[10.0], [100.0], [20.0]], Name.PROXY: [[11.0], [102.0], [23.0]]}

    assert added(rounds, Name.PROXY, 50) == Figure(median=2.0, least=1.0, greatest=3.0)


def test_a_round_without_answers_adds_nothing() -> None:
    rounds: dict[Name, list[list[float]]] = {Name.DIRECT: [[10.0]], Name.PROXY: [[]]}

    assert added(rounds, Name.PROXY, 50) is None


def test_a_section_prints_its_rows_bars_and_faults() -> None:
    section = Section(
        "s", "A title", ("target", "ms"), (("proxy", Figure(2.0, 1.0, 3.0)), ("nginx", None)), faults=("proxy: 1 x status 500",)
    )

    text = as_text(section).splitlines()

    assert text[0] == "s: A title"
    assert text[3].split() == ["proxy", "2.00", "[1.00..3.00]"]
    assert text[4].split() == ["nginx", "-"]
    assert text[-1] == "FAULT proxy: 1 x status 500"


def test_a_section_is_json_with_a_figure_as_median_and_range() -> None:
    section = Section("s", "A title", ("target", "ms", "p99"), (("proxy", Figure(2.0, 1.0, 3.0), float("nan")),))

    rows = json.loads(json.dumps(section.as_json()))["rows"]

    assert rows == [{"target": "proxy", "ms": {"median": 2.0, "least": 1.0, "greatest": 3.0}, "p99": None}]
