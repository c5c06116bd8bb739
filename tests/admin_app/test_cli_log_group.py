"""`ledger import --log-group` against a real moto server with a log group in it: what a lost disk held comes back."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.admin_app.test_cli import Terminal
from tests.core.test_ledger_import import WHOLE

LOGIN = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "eu-central-1"}
GROUP = "/claude-code-proxy/tasks"
LOGGED_FROM = datetime.now(UTC) - timedelta(hours=1)  # CloudWatch Logs takes nothing that is older than two weeks
SPAN = f"--from {LOGGED_FROM:%Y-%m-%dT%H:%M} --to {LOGGED_FROM + timedelta(hours=1):%Y-%m-%dT%H:%M}"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path / "var")
    assert terminal("migrate").code == 0
    return terminal


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/reset", method="POST"), timeout=20).close()
    for name, value in {**LOGIN, "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(name, value)
    terminal.environ["AWS_REGION"] = LOGIN["AWS_REGION"]
    client = boto3.client("logs", region_name=LOGIN["AWS_REGION"], endpoint_url=address)
    client.create_log_group(logGroupName=GROUP)
    yield client
    server.stop()


def line_of(request_id: str) -> str:
    return json.dumps(WHOLE | {"request_id": request_id})


def log(client: Any, stream: str, messages: list[str], minute: int = 30) -> None:
    client.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    at = int((LOGGED_FROM + timedelta(minutes=minute)).timestamp() * 1000)
    client.put_log_events(
        logGroupName=GROUP, logStreamName=stream, logEvents=[{"timestamp": at, "message": each} for each in messages]
    )


def test_the_records_of_all_tasks_come_back_once(terminal: Terminal, logs: Any) -> None:
    log(logs, "proxy/proxy/1", [line_of("req_1"), '{"message": "metrics"}'])
    log(logs, "proxy/proxy/2", [line_of("req_2")])
    first = terminal(f"ledger import --log-group {GROUP} {SPAN} --json")
    second = terminal(f"ledger import --log-group {GROUP} {SPAN} --json")
    assert (first.code, first.document["written"], first.document["known"]) == (0, 2, 0)
    assert (second.code, second.document["written"], second.document["known"]) == (0, 0, 2)


def test_more_lines_than_fit_into_one_answer_of_aws_come_all(terminal: Terminal, logs: Any) -> None:
    for stream in range(3):
        log(logs, f"proxy/proxy/{stream}", [line_of(f"req_{stream}_{n}") for n in range(4000)])
    assert terminal(f"ledger import --log-group {GROUP} {SPAN} --json").document["written"] == 12_000


def test_what_was_logged_outside_of_the_span_is_left_alone(terminal: Terminal, logs: Any) -> None:
    log(logs, "proxy/proxy/1", [line_of("req_1")], minute=-30)
    assert terminal(f"ledger import --log-group {GROUP} {SPAN} --json").document["written"] == 0


@pytest.mark.parametrize("span", ["", "--from 2026-01-01"])
def test_a_span_is_asked_for(terminal: Terminal, logs: Any, span: str) -> None:
    finished = terminal(f"ledger import --log-group {GROUP} {span}")
    assert (finished.code, "--from and --to" in finished.err) == (1, True)


def test_a_group_that_cannot_be_read_is_a_refusal_with_awss_reason(terminal: Terminal, logs: Any) -> None:
    finished = terminal(f"ledger import --log-group /nowhere {SPAN}")
    assert (finished.code, "/nowhere cannot be read (ResourceNotFoundException)" in finished.err) == (1, True)
