"""What is told, when, and what not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.metric_counts import Counts
from core.metric_file import Cells, open_cells
from core.metrics import cell_names
from core.metrics_report import MOST_KEYS, MetricsReporter, Outlet, Sources
from tests.core.cloudwatch_of_ours import CloudWatch
from tests.core.test_metric_counts import record


class Desk:
    """A reporter over values that a test sets, and the lines it wrote."""

    def __init__(self, cells: Cells, *, emf: bool = True) -> None:
        self.now: dict[str, float] = {"ActiveStreams": 0.0}
        self.totals: dict[str, float] = {"RecordsLost": 0.0}
        self.open: list[tuple[str, str]] = []
        self.written: list[bytes] = []
        self.seconds = 0.0
        self.counts = Counts(cells)
        sources = Sources(lambda: self.now, lambda: self.totals, lambda: self.open)
        outlet = Outlet(self.written.append if emf else None, "ClaudeCodeProxy", "wrk_1")
        clocks = (lambda: self.seconds, lambda: 1.8e9 + self.seconds)
        self.reporter = MetricsReporter(cells, self.counts, sources, outlet, clocks)

    def told(self, after_s: float = 10.0) -> CloudWatch:
        self.seconds += after_s
        self.written.clear()
        self.reporter.look()
        self.reporter.tell()
        assert all(line.endswith(b"\n") for line in self.written)
        return CloudWatch(map(json.loads, self.written))

    def circuits(self, after_s: float = 10.0) -> dict[str, float]:
        values = self.told(after_s).values
        return {
            dict(key[1])["access_key_id"]: float(value[0]) for key, value in values.items() if "access_key_id" in dict(key[1])
        }


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    return open_cells(tmp_path / "metrics", cell_names())


@pytest.fixture
def desk(cells: Cells) -> Desk:
    return Desk(cells)


def test_gauges_are_told_as_they_are_now(desk: Desk) -> None:
    desk.now = {"ActiveStreams": 3, "LedgerBacklog": 12, "LedgerBacklogAge": 1.5, "DatabaseAway": 1.0}
    told = desk.told()
    assert [told.all(name) for name in desk.now] == [[3], [12], [1.5], [1]]
    assert told.all("HubLag") == [0.0]


def test_of_a_total_the_growth_is_told(desk: Desk) -> None:
    desk.totals = {"RecordsLost": 3}
    assert desk.told().sum("RecordsLost") == 3
    desk.totals = {"RecordsLost": 5}
    assert (desk.told().sum("RecordsLost"), desk.told().sum("RecordsLost")) == (2, 0)


def test_a_circuit_is_told_when_it_opens_then_each_minute_and_once_when_it_has_closed(desk: Desk) -> None:
    desk.open = [("access_key_id", "key_1"), ("bedrock_key_id", "bk_1")]
    said = [desk.circuits(after_s) for after_s in (10, 10, 39, 11)]
    desk.open = []
    assert [*said, desk.circuits(), desk.circuits()] == [{"key_1": 1}, {}, {}, {"key_1": 1}, {"key_1": 0}, {}]


def test_whether_any_circuit_of_a_key_is_open_is_told_each_time(desk: Desk) -> None:
    desk.open = [("access_key_id", "key_1"), ("bedrock_key_id", "bk_1")]
    told = desk.told()
    desk.open = [("bedrock_key_id", "bk_1")]
    assert (told.all("CircuitBreakerState"), told.all("OpenCircuits")) == ([1], [2])
    assert (desk.told().all("CircuitBreakerState"), desk.told().all("OpenCircuits")) == ([0], [1])


def test_ten_thousand_open_circuits_do_not_crowd_out_the_log(desk: Desk) -> None:
    desk.open = [("access_key_id", f"key_{number}") for number in range(1000)]
    told = [set(desk.circuits()) for _ in range(5)]
    assert [len(keys) for keys in told] == [MOST_KEYS] * 5
    assert len(set.union(*told)) == 1000


def test_without_emf_nothing_is_said_and_nothing_piles_up(cells: Cells) -> None:
    desk = Desk(cells, emf=False)
    desk.counts.finished(record())
    desk.told()
    assert (desk.written, desk.counts.take().counted, desk.counts.take().samples) == ([], {}, {})


def test_what_was_counted_last_is_told_at_the_end(desk: Desk, cells: Cells, tmp_path: Path) -> None:
    desk.counts.finished(record())
    desk.reporter.stop()
    assert CloudWatch(map(json.loads, desk.written)).sum("RequestCount", provider="plan") == 1
    assert open_cells(tmp_path / "metrics", cell_names()).path == cells.path


def test_a_source_that_fails_stops_neither_the_rest_nor_the_reporter(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Any:
        raise RuntimeError("no")

    desk.reporter._sources = Sources(broken, broken, broken)
    desk.counts.finished(record())
    assert desk.told().sum("RequestCount") == 1
    assert "what is true now could not be looked at" in caplog.text


def test_numbers_kept_in_memory_alone_are_shown_too(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("in the way")
    desk = Desk(open_cells(tmp_path / "metrics", cell_names()))
    desk.counts.finished(record())
    assert 'requests_total{provider="plan"} 1\n' in desk.reporter.exposition(tmp_path / "metrics")
