"""An hour of traffic: what CloudWatch and Prometheus add up is what the ledger has, to the last token and millionth."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from core.db import Database
from core.log import AccessLog, LineWriter
from core.metric_counts import Counts
from core.metric_file import open_cells
from core.metrics import cell_names
from core.metrics_report import MetricsReporter, Outlet, Sources
from core.models import requests, usage_hourly
from core.pricing import load_prices
from core.settings import Settings
from core.spool import Spool
from core.types import ProviderName, Usage
from proxy_app.call import Endpoint
from proxy_app.faults import Fault
from proxy_app.recorder import Recorder
from tests.core.cloudwatch_of_ours import CloudWatch
from tests.proxy_app.recording import ON_BEDROCK, call, outcome

HOUR_S, EACH_S, BEGIN = 3600, 2, 1_800_000_000.0
COUNTERS = ("requests", "side_requests", "errors", "fallbacks", "bedrock_spend_dollars")
TOKENS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
ENDINGS: tuple[dict[str, Any], ...] = (
    {},
    ON_BEDROCK,
    {},
    ON_BEDROCK | {"fault": Fault.PLAN_OVERLOADED},
    {"provider": None, "status": 529, "error_type": "overloaded_error", "usage": Usage(), "fault": Fault.PLAN_ERROR},
    {"status": 401, "fault": Fault.PLAN_AUTH, "error_type": "authentication_error", "usage": Usage()},
    {"fault": Fault.STREAM_BROKEN, "error_type": "overloaded_error"},
    {"provider": None, "status": 499, "fault": Fault.CLIENT_GONE, "usage": Usage(), "first_byte": None},
    {"provider": ProviderName.BEDROCK, "model_served": "us.anthropic.claude-opus-5", "trace": ["bedrock:200"]},
)


@dataclass
class Hour:
    """A recorder and its metrics over a clock that the test drives."""

    recorder: Recorder
    reporter: MetricsReporter
    database: Database
    folder: Path
    lines: list[bytes]
    now: list[float]

    def pass_by(self) -> None:
        for number in range(HOUR_S // EACH_S):
            self.now[0] += EACH_S
            self._one(number)
            if self.now[0] % 10 == 0:
                self.recorder.flush()
                self.reporter.look()
                self.reporter.tell()
        self.recorder.close()
        self.reporter.stop()

    def _one(self, number: int) -> None:
        beside = number % 17 == 0
        ending = outcome(**({} if beside else ENDINGS[number % len(ENDINGS)]))
        if ending.usage != Usage():
            ending = replace(ending, usage=Usage(number, number % 700, number % 11, number % 13, number * 37))
        endpoint = Endpoint.COUNT_TOKENS if beside else Endpoint.MESSAGES
        self.recorder.finish(call(number, started_at=BEGIN + self.now[0] - 1, endpoint=endpoint), ending)

    def ledger(self) -> dict[str, Decimal]:
        """The sums of the hour, as the hourly roll-ups have them."""
        names = ("requests", "errors", "fallbacks", *(f"{kind}_tokens" for kind in TOKENS), "cost_micros")
        query = select(*(func.sum(usage_hourly.c[name]) for name in names))
        row = self.database.read(lambda connection: connection.execute(query).one())
        return dict(zip(names, map(Decimal, row), strict=True))

    def answered_by(self) -> dict[str, int]:
        query = select(requests.c.provider, func.count()).where(requests.c.endpoint == "messages").group_by(requests.c.provider)
        rows = self.database.read(lambda connection: connection.execute(query).all())
        return {provider or "none": count for provider, count in rows}

    def cloudwatch(self) -> dict[str, Decimal]:
        """The same sums of what was told to CloudWatch."""
        seen = self.seen()
        sums = {"requests": seen.sum("RequestCount") + seen.sum("SideRequestCount", endpoint="count_tokens")}
        sums |= {"errors": seen.sum("ErrorCount"), "fallbacks": seen.sum("FallbackCount")}
        sums |= {f"{kind}_tokens": seen.sum("TokensUsed", token_type=kind) for kind in TOKENS}
        return sums | {"cost_micros": seen.sum("BedrockSpend") * 1_000_000}

    def seen(self) -> CloudWatch:
        return CloudWatch(map(json.loads, self.lines))

    def exposed(self) -> dict[str, float]:
        """The same sums of what Prometheus reads."""
        said = self.prometheus()
        total = {name: sum(value for (family, _), value in said.items() if family == f"{name}_total") for name in COUNTERS}
        sums = {
            "requests": total["requests"] + total["side_requests"],
            "errors": total["errors"],
            "fallbacks": total["fallbacks"],
        }
        sums |= {f"{kind}_tokens": said["tokens_total", kind] for kind in TOKENS}
        return sums | {"cost_micros": round(total["bedrock_spend_dollars"] * 1_000_000)}

    def prometheus(self) -> dict[tuple[str, str], float]:
        text = self.reporter.exposition(self.folder)
        return {
            (sample.name.removeprefix("claude_code_proxy_"), "".join(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def hour(tmp_path: Path, database: Database) -> Iterator[Hour]:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    now, lines = [0.0], list[bytes]()
    clocks = (lambda: 120.0, lambda: BEGIN + now[0])
    spool = Spool(tmp_path / "spool", "worker")
    recorder = Recorder(spool, database, load_prices(), AccessLog(LineWriter(fd)), Settings(), clocks)
    cells = open_cells(tmp_path / "metrics", cell_names())
    counts = Counts(cells)
    recorder.listen(counts)
    sources = Sources(dict, dict, list)
    reporter = MetricsReporter(cells, counts, sources, Outlet(lines.append, "ClaudeCodeProxy", "wrk_1"), clocks)
    yield Hour(recorder, reporter, database, tmp_path / "metrics", lines, now)
    os.close(fd)


def test_an_hours_metrics_are_the_ledgers_sums(hour: Hour) -> None:
    hour.pass_by()
    ledger = hour.ledger()
    assert ledger["requests"] == HOUR_S // EACH_S and min(ledger.values()) > 100
    assert hour.cloudwatch() == ledger
    assert hour.exposed() == ledger


def test_every_answer_has_its_times(hour: Hour) -> None:
    hour.pass_by()
    seen, answered_by = hour.seen(), hour.answered_by()
    assert answered_by.keys() == {"plan", "bedrock", "none"}
    assert {name: int(seen.sum("RequestCount", provider=name)) for name in answered_by} == answered_by
    assert {name: len(seen.all("RequestLatency", provider=name)) for name in answered_by} == answered_by
    assert len(seen.all("ProxyOverhead")) == sum(answered_by.values()) > len(seen.all("TimeToFirstByte"))
