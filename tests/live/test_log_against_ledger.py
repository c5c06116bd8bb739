"""The log of running workers and their ledger: they agree, a loss on either side is named, and the log makes up for it."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from core.ledger import write_batch
from core.models import requests, usage_hourly
from core.record import RequestRecord
from core.spend_models import spend_monthly
from sandbox.product import ROOT
from tests.live.asking import ask, at_once, await_true
from tests.live.leaver import rows_of

ASKED = 12


@pytest.fixture(scope="module")
def product_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Kiritimati is fourteen hours ahead, where a month begins long before it does in UTC."""
    url = request.getfixturevalue("postgres_server").migrated()
    return {"PROXY_DATABASE_URL": url, "PROXY_WORKERS": "2", "PROXY_BUDGET_TIMEZONE": "Pacific/Kiritimati"}


@pytest.fixture
def developer(stack: Any) -> Any:
    """Somebody of whom a dozen answers by Bedrock are in the ledger."""
    developer = stack.developer("bedrock_only", budget_micros=10**9)
    at_once(ASKED, lambda: ask(developer))
    await_true(lambda: len(rows_of(stack, developer.access_key_id)) == ASKED)
    return developer


def verify(stack: Any) -> Any:
    """What `ledger verify` says of the server's standard output so far, and its exit status."""
    given = stack.product.log_path.read_text()
    return stack.product.cli("ledger", "verify", "--log", "-", given=given, check=False)


def two_of(stack: Any, developer: Any) -> tuple[str, str]:
    """Ids of requests that ended in the midst of the others: without the line of the last one the log would end before it, and
    what a log does not reach to is not looked for in it."""
    rows = sorted(rows_of(stack, developer.access_key_id), key=lambda row: row.started_at + timedelta(milliseconds=row.total_ms))
    return str(rows[5].request_id), str(rows[6].request_id)


def spent(stack: Any) -> list[Any]:
    return list(stack.database.read(lambda c: c.execute(select(spend_monthly).order_by(*spend_monthly.primary_key)).all()))


def test_what_workers_log_and_what_the_ledger_has_agree(stack: Any, developer: Any) -> None:
    found = verify(stack)
    assert (found["ok"], found["log"]["bad"], found["log"]["matched"] >= ASKED) == (True, 0, True)


def test_a_row_that_is_lost_is_named_and_comes_back_with_an_import(stack: Any, developer: Any) -> None:
    lost, budgets = two_of(stack, developer)[0], spent(stack)
    stack.database.run(lambda c: [c.execute(delete(table)) for table in (requests, usage_hourly, spend_monthly)])
    found = verify(stack)
    assert (found["ok"], lost in found["log"]["only_in_log"]["shown"], found["log"]["matched"]) == (False, True, 0)
    stack.product.cli("ledger", "import", str(stack.product.log_path))
    assert (verify(stack)["ok"], spent(stack)) == (True, budgets)


def test_a_line_that_is_lost_and_a_cost_that_was_changed_are_named_and_the_exit_status_tells(
    stack: Any, developer: Any, tmp_path: Path
) -> None:
    lost, wrong = two_of(stack, developer)
    lines = [line for line in stack.product.log_path.read_text().splitlines(keepends=True) if lost not in line]
    (tmp_path / "log").write_text("".join(lines))
    more = requests.c.cost_micros + 1
    stack.database.run(lambda c: c.execute(update(requests).where(requests.c.request_id == wrong).values(cost_micros=more)))
    done = run_cli(stack, "ledger", "verify", "--log", str(tmp_path / "log"))
    less = requests.c.cost_micros - 1
    stack.database.run(lambda c: c.execute(update(requests).where(requests.c.request_id == wrong).values(cost_micros=less)))
    assert done.returncode == 1
    assert "1 request in the ledger, but not in the log: " in done.stdout and f"  {lost}\n" in done.stdout
    assert f"1 request with other figures (ledger less log): cost_micros +1\n  {wrong}: cost_micros\n" in done.stdout


def test_the_command_line_deletes_what_is_older_than_thirty_days_beside_workers_at_work(stack: Any, developer: Any) -> None:
    now = time.time()
    one = RequestRecord("req_0", now, "user_old", "key_old", provider="plan", status=200)
    ages = {"req_29": 29.9, "req_31": 31.0, "req_400": 400.0}
    old = [replace(one, request_id=name, started_at=now - days * 86_400) for name, days in ages.items()]
    stack.database.run(lambda connection: write_batch(connection, old))
    before = stack.database.read(hourly)
    done = stack.product.cli("purge")
    assert (done["purged"], [row.request_id for row in rows_of(stack, "key_old")]) == (2, ["req_29"])
    assert (stack.database.read(hourly), verify(stack)["ok"]) == (before, True)


def hourly(connection: Any) -> list[Any]:
    return list(connection.execute(select(usage_hourly).order_by(*usage_hourly.primary_key)).all())


def run_cli(stack: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a person runs it."""
    environ = {"PROXY_DATA_DIR": str(stack.settings.data_dir), "PROXY_DATABASE_URL": stack.settings.database_url}
    command = [sys.executable, "-m", "admin_app", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=180, check=False)
