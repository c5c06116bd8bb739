"""`ledger reconcile` against a CloudWatch that answers as AWS's does: a real moto server with a day's data in it."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from core.db import open_database
from core.ledger import write_batch
from tests.admin_app.test_cli import NOW, Terminal
from tests.admin_app.test_cli_audit import audit_of
from tests.core.test_bill import ONE, OPUS, SONNET

LOGIN = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
YESTERDAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
NAMES = ("Invocations", "InputTokenCount", "OutputTokenCount", "CacheReadInputTokenCount", "CacheWriteInputTokenCount")


class CloudWatch:
    """moto's, as Bedrock fills the real one: a data point for each request."""

    def __init__(self, server: ThreadedMotoServer) -> None:
        host, port = server.get_host_and_port()
        self.server = server
        self.address = f"http://{host}:{port}"

    def used(self, model: str, at: datetime, *values: int, region: str = "us-east-1", names: tuple[str, ...] = NAMES) -> None:
        client: Any = boto3.client("cloudwatch", region_name=region, endpoint_url=self.address)
        points = [
            {"MetricName": name, "Dimensions": [{"Name": "ModelId", "Value": model}], "Timestamp": at, "Value": value}
            for name, value in zip(names, values, strict=True)
        ]
        client.put_metric_data(Namespace="AWS/Bedrock", MetricData=points)


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudWatch]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    made = CloudWatch(server)
    urllib.request.urlopen(urllib.request.Request(f"{made.address}/moto-api/reset", method="POST"), timeout=20).close()
    for name, value in {**LOGIN, "AWS_ENDPOINT_URL": made.address}.items():
        monkeypatch.setenv(name, value)
    yield made
    server.stop()


@pytest.fixture
def terminal(tmp_path: Path, cloudwatch: CloudWatch) -> Terminal:
    """Ann's Bedrock key has answered ten requests yesterday, 100,000 tokens of input in all."""
    terminal = Terminal(tmp_path / "var")
    assert terminal("migrate").code == 0
    assert terminal("user add ann").code == 0
    key = terminal("bedrock-key add --user ann --region us-east-1 --key-stdin --json", stdin="bedrock-sandbox").document
    database = open_database(terminal.settings, pool_size=1)
    began = (YESTERDAY + timedelta(hours=9)).timestamp()
    records = [replace(ONE, request_id=f"req_{n}", started_at=began + n * 60, bedrock_key_id=key["id"]) for n in range(10)]
    database.run(lambda connection: write_batch(connection, records))
    database.close()
    return terminal


def ten_requests(cloudwatch: CloudWatch, *, names: tuple[str, ...] = NAMES) -> None:
    for number in range(10):
        at = YESTERDAY + timedelta(hours=9, minutes=number)
        cloudwatch.used(OPUS, at, 1, 10_000, 2_000, 50_000, 700, names=names)


def test_a_ledger_that_has_what_bedrock_counted_exits_with_0(terminal: Terminal, cloudwatch: CloudWatch) -> None:
    ten_requests(cloudwatch)
    done = terminal("ledger reconcile --json")
    [line] = done.document["lines"]
    assert (done.code, done.document["ok"], line["drift"]) == (0, True, {})
    assert (line["region"], line["model"], line["day"]) == ("us-east-1", OPUS, YESTERDAY.date().isoformat())
    assert (
        line["cloudwatch"]
        == line["ledger"]
        == {
            "invocations": 10,
            "input_tokens": 100_000,
            "output_tokens": 20_000,
            "cache_read_tokens": 500_000,
            "cache_write_tokens": 7_000,
        }
    )


def test_both_spellings_of_cache_tokens_are_understood(terminal: Terminal, cloudwatch: CloudWatch) -> None:
    ten_requests(cloudwatch, names=(*NAMES[:3], "CacheReadInputTokens", "CacheWriteInputTokens"))
    assert terminal("ledger reconcile --json").document["lines"][0]["drift"] == {}


def test_drift_over_two_per_cent_exits_with_1_and_shows_where(terminal: Terminal, cloudwatch: CloudWatch) -> None:
    ten_requests(cloudwatch)
    cloudwatch.used(OPUS, YESTERDAY + timedelta(hours=20), 1, 10_000, 0, 0, 0)
    done = terminal("ledger reconcile")
    marked = [line for line in done.out.splitlines() if line.endswith("DRIFT")]
    assert (done.code, len(marked)) == (1, 1)
    assert marked[0].split() == ["input_tokens", "ledger", "100000", "Bedrock", "110000", "+9.09%", "DRIFT"]


def test_a_model_that_the_ledger_does_not_know_is_shown(terminal: Terminal, cloudwatch: CloudWatch) -> None:
    ten_requests(cloudwatch)
    cloudwatch.used(SONNET, YESTERDAY + timedelta(hours=1), 50, 90_000, 9_000, 0, 0)
    cloudwatch.used("amazon.nova-pro-v1:0", YESTERDAY + timedelta(hours=1), 50, 90_000, 9_000, 0, 0)
    done = terminal("ledger reconcile --json")
    assert (done.code, {line["model"] for line in done.document["lines"]}) == (1, {OPUS, SONNET})


def test_what_cloudwatch_cannot_tell_is_said(terminal: Terminal, cloudwatch: CloudWatch) -> None:
    assert "not Bedrock keys" in terminal("ledger reconcile").out
    assert "not Bedrock keys" in terminal("ledger reconcile --json").document["limits"]


def test_only_the_days_asked_for_are_compared(terminal: Terminal, cloudwatch: CloudWatch) -> None:
    ten_requests(cloudwatch)
    before = YESTERDAY - timedelta(days=5)
    done = terminal(f"ledger reconcile --from {before:%Y-%m-%d} --to {YESTERDAY:%Y-%m-%d} --json")
    assert (done.code, done.document["lines"]) == (0, [])


def test_a_range_that_ends_before_it_begins_is_refused(terminal: Terminal) -> None:
    assert terminal("ledger reconcile --from 2026-01-02 --to 2026-01-01").code == 1


def test_a_cloudwatch_that_does_not_answer_is_a_refusal_that_names_it(terminal: Terminal, cloudwatch: CloudWatch) -> None:
    cloudwatch.server.stop()
    done = terminal("ledger reconcile")
    assert (done.code, "CloudWatch in us-east-1 cannot be asked" in done.err) == (1, True)
    cloudwatch.server.start()


def test_asking_what_bedrock_counted_leaves_no_entry_in_the_audit_log(terminal: Terminal, cloudwatch: CloudWatch) -> None:
    ten_requests(cloudwatch)
    before = audit_of(terminal)
    assert terminal("ledger reconcile").code == 0
    assert audit_of(terminal) == before
