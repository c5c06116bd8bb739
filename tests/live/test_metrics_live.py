"""/metrics of a real server: any worker answers for all of them, a killed one takes nothing with it, and only some may look."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from core.models import requests, usage_hourly
from tests.core.cloudwatch_of_ours import CloudWatch
from tests.live.asking import ask
from tests.live.customers import Customers
from tests.live.leaver import eventually
from tests.live.workers import at_every_worker

TOKENS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
FORWARDED = "10.1.2.3"


@pytest.fixture(scope="module")
def product_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    return {
        "PROXY_DATABASE_URL": request.getfixturevalue("postgres_server").migrated(),
        "PROXY_WORKERS": "3",
        "PROXY_FLUSH_INTERVAL_S": "0.2",
        "PROXY_EMF": "on",
        "PROXY_DRAIN_S": "5",
        "PROXY_GRACEFUL_TIMEOUT_S": "20",
        "PROXY_TRUSTED_PROXIES": "127.0.0.1/32",
    }


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def scraped(text: str) -> dict[str, float]:
    """Counters summed over their labels, tokens by kind, gauges."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix("claude_code_proxy_")
            name = f"{sample.labels['token_type']}_tokens" if name == "tokens_total" else name
            sums[name] = sums.get(name, 0.0) + sample.value
    return sums


def metrics(stack: Any, forwarded_for: str = "127.0.0.1") -> dict[str, float]:
    asked = urllib.request.Request(f"{stack.url}/metrics", headers={"x-forwarded-for": forwarded_for})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return scraped(answer.read().decode())


def of_each_worker(stack: Any) -> list[dict[str, float]]:
    said = []
    for worker in at_every_worker([stack.product]):
        worker.connection.request("GET", "/metrics", headers={"x-forwarded-for": "127.0.0.1"})
        said.append(scraped(worker.connection.getresponse().read().decode()))
        worker.connection.close()
    return said


def ledger(stack: Any) -> dict[str, float]:
    names = [f"{kind}_tokens" for kind in TOKENS]
    sums = select(*(func.coalesce(func.sum(usage_hourly.c[name]), 0) for name in (*names, "errors", "fallbacks", "cost_micros")))
    count = select(func.count()).select_from(requests).where(requests.c.endpoint == "messages")
    row = stack.database.read(lambda connection: connection.execute(sums).one())
    *tokens, errors, fallbacks, micros = map(float, row)
    requests_total = float(stack.database.read(lambda connection: connection.execute(count).scalar_one()))
    named = {"requests_total": requests_total, "errors_total": errors, "fallbacks_total": fallbacks}
    return {**dict(zip(names, tokens, strict=True)), **named, "bedrock_spend_dollars_total": micros / 1_000_000}


def has_the_ledger(stack: Any, said: dict[str, float]) -> bool:
    return {name: round(said[name], 6) for name in ledger(stack)} == ledger(stack)


def nothing_is_under_way(stack: Any) -> bool:
    """All workers serve, and what a killed one left is booked and counted: until then its spool lies beside theirs."""
    workers = at_every_worker([stack.product])
    return len(list((stack.product.data_dir / "var" / "spool").glob("*.spool"))) == len(workers)


def test_any_of_three_workers_says_what_the_ledger_has_also_after_one_was_killed_and_all_were_replaced(
    stack: Any, clients: ThreadPoolExecutor
) -> None:
    customers = Customers(clients, stack.developer())
    customers.come(4)
    customers.served_more(40)
    stack.anthropic.fault("overloaded")
    customers.served_more(20)
    victim = sorted(stack.product.worker_pids())[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in stack.product.worker_pids() and len(stack.product.worker_pids()) == 3)
    customers.served_more(40)
    customers.leave()
    eventually(lambda: nothing_is_under_way(stack) and has_the_ledger(stack, metrics(stack)), 30)
    assert ledger(stack)["requests_total"] >= 100 and ledger(stack)["fallbacks_total"] >= 20

    assert [has_the_ledger(stack, said) for said in of_each_worker(stack)] == [True] * 3
    old = stack.product.worker_pids()
    stack.product.signal(signal.SIGHUP)
    eventually(lambda: not set(old) & set(stack.product.worker_pids()), 30)
    eventually(lambda: metrics(stack)["workers"] == 3, 30)
    assert has_the_ledger(stack, metrics(stack))
    eventually(lambda: metrics(stack)["worker_starts_total"] == 3 + 1 + 3, 30)


def test_what_cloudwatch_is_told_is_what_the_ledger_has(stack: Any) -> None:
    """Every 10 s; what a killed worker had not told, its successor did."""
    wanted = ledger(stack)["requests_total"] + 1
    assert ask(stack.developer()).status == 200

    def told() -> CloudWatch:
        return CloudWatch(line for line in stack.product.logs() if "_aws" in line)

    eventually(lambda: told().sum("RequestCount") == wanted, 30)
    eventually(lambda: has_the_ledger(stack, metrics(stack)), 30)
    seen, booked = told(), ledger(stack)
    assert {f"{kind}_tokens": float(seen.sum("TokensUsed", token_type=kind)) for kind in TOKENS}.items() <= booked.items()
    assert float(seen.sum("BedrockSpend")) == booked["bedrock_spend_dollars_total"]
    assert float(seen.sum("FallbackCount")) == booked["fallbacks_total"]
    assert float(seen.sum("ErrorCount")) == booked["errors_total"]
    assert max(seen.all("ActiveStreams")) <= 4 and max(seen.all("DatabaseAway")) == 0
    assert max(seen.all("HubLag")) > 0


@pytest.mark.parametrize("forwarded", [FORWARDED, f"127.0.0.1, {FORWARDED}", "nonsense"])
def test_an_address_outside_the_allowlist_is_refused(stack: Any, forwarded: str) -> None:
    """The right-most address that is no trusted proxy's counts; what a client writes before it does not."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        metrics(stack, forwarded)
    assert refused.value.code == 403
    assert b"permission_error" in refused.value.read()


def test_a_request_that_was_nobodys_is_counted(stack: Any) -> None:
    before = metrics(stack)["turned_away_total"]
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{stack.url}/ak/ak_nobody/v1/models", timeout=20)
    assert metrics(stack)["turned_away_total"] == before + 1


def test_looking_leaves_no_line_in_the_access_log(stack: Any) -> None:
    before = len(stack.product.access_lines())
    metrics(stack)
    assert len(stack.product.access_lines()) == before


def test_an_open_circuit_is_named(stack: Any) -> None:
    stack.anthropic.fault("plan_exhausted", reset=600)
    developer = stack.developer()
    ask(developer)

    def named() -> bool:
        asked = urllib.request.Request(f"{stack.url}/metrics", headers={"x-forwarded-for": "127.0.0.1"})
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return f'circuit_breaker_state{{access_key_id="{developer.access_key_id}"}} 1\n'.encode() in answer.read()

    eventually(named)
