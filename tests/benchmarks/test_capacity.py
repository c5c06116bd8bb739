"""The model of docs/scaling.md: it says what the page says, from the figures that were measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.capacity import SIZES, Developer, Measured, load_prices, load_table, main, money_table, need_of

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_has_the_tables_that_the_command_prints() -> None:
    needs = [need_of(developers) for developers in SIZES]
    page = (DOCS / "scaling.md").read_text()
    assert load_table(needs) in page
    assert money_table(needs) in page


def test_the_command_prints_the_tables_and_whence_the_prices_are(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    needs, printed = [need_of(developers) for developers in SIZES], capsys.readouterr().out
    assert load_table(needs) in printed and money_table(needs) in printed
    assert load_prices().source in printed


def test_other_prices_are_another_file(tmp_path: Path) -> None:
    usual = load_prices()
    dearer = {"region": "eu-central-1", "written": "2027-01", "source": "looked up", "usd": usual.usd | {"out_gb": 1.0}}
    (tmp_path / "prices.json").write_text(json.dumps(dearer))
    need = need_of(1_000, prices=load_prices(tmp_path / "prices.json"))
    assert need.usd["traffic out"] == need.nat_gb
    assert need.usd["tasks"] == need_of(1_000).usd["tasks"]


def test_the_smallest_size_costs_what_the_runbook_says_and_its_traffic() -> None:
    need = need_of(1)
    assert 300 < need.usd_month - need.usd["traffic out"] < 325


def test_the_measured_figures_are_those_of_the_performance_page() -> None:
    page = (DOCS / "performance.md").read_text()
    assert f"| {Measured().event_us} us |" in page
    assert "836 us per 100 KB request" in page
    assert "writing 250 records with their sums | 88 ms" in page


def test_ten_times_the_developers_are_ten_times_the_load() -> None:
    small, large = need_of(10_000), need_of(100_000)
    assert round(large.requests_s / small.requests_s, 6) == 10
    assert 9 < large.tasks / small.tasks < 10.5


def test_two_tasks_are_there_for_the_second_zone_however_few_developers() -> None:
    assert need_of(1).tasks == 2


def test_longer_streams_need_more_tasks_and_memory() -> None:
    usual, long = need_of(10_000), need_of(10_000, each=replace(Developer(), stream_s=60.0))
    assert long.tasks > usual.tasks
    assert long.streams == 3 * usual.streams


def test_every_dollar_is_in_the_sum() -> None:
    need = need_of(1_000)
    assert need.usd_month == sum(need.usd.values())
    assert all(value > 0 for value in need.usd.values())
