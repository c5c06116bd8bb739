"""Budgets on running servers: who is refused, with which words, and how far over a budget a crowd can get."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from core.access import Limits
from core.access_keys import change_key
from core.budget import month_of
from core.models import requests
from core.spend_models import spend_monthly, spend_pending
from core.spend_rows import SILENT_AFTER
from tests import machine
from tests.live.asking import abandoned, ask, await_true
from tests.live.leaver import eventually
from tests.live.workers import at_every_worker

CENT = 10_000
CROWD = 200
CROWD_S = 8.0
A_CENT: dict[str, Any] = {"max_tokens": 1000, "messages": [{"role": "user", "content": "say-tokens:1000"}]}


@pytest.fixture(scope="module")
def product_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"PROXY_DATABASE_URL": request.getfixturevalue("postgres_server").migrated(), "PROXY_WORKERS": "4"}


def test_a_plan_first_key_without_budget_gets_the_plans_own_refusal(stack: Any) -> None:
    developer = stack.developer(budget_micros=0)
    stack.anthropic.fault("plan_exhausted", reset=600)
    refused = ask(developer)
    assert (refused.status, refused.provider, refused.fallback) == (429, "plan", "budget_spent")
    assert refused.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert stack.bedrock_posts() == []


def test_a_bedrock_only_key_without_budget_is_told_the_amount_and_the_day(stack: Any) -> None:
    refused = ask(stack.developer("bedrock_only", budget_micros=0))
    assert (refused.status, refused.error_type, refused.headers["x-should-retry"]) == (402, "billing_error", "false")
    assert "$0.00 of $0.00" in refused.json["error"]["message"]
    assert f"it begins anew on {next_month():%Y-%m-%d} (UTC)" in refused.json["error"]["message"]


def next_month() -> datetime:
    """When budgets begin anew; in December it is another year."""
    return month_of(datetime.now(UTC), ZoneInfo("UTC")).ends


def spent_up(stack: Any, strategy: str) -> Any:
    """Somebody who asked Bedrock until ten cents were gone, and every worker knows: they tell each other within two seconds."""
    developer = stack.developer(strategy, budget_micros=10 * CENT)
    asked = 0
    while (answer := ask(developer, **A_CENT)).status == 200:
        assert (asked := asked + 1) < 30
    assert answer.headers["x-proxy-fallback" if answer.status == 429 else "x-should-retry"] in ("budget_spent", "false")
    workers = at_every_worker([stack.product])
    await_true(lambda: all(each.ask(developer.access_key, **A_CENT).status != 200 for each in workers))
    return developer


def told_of(stack: Any, developer: Any) -> list[dict[str, Any]]:
    """The log's lines of messages of a key, but for those that Bedrock answered."""
    lines = [each["context"] for each in stack.product.access_lines()]
    mine = [each for each in lines if each["access_key_id"] == developer.access_key_id and each["endpoint"] == "messages"]
    return [each for each in mine if each["status"] != 200]


def test_claude_code_shows_the_amount_and_the_day_after_one_request(stack: Any, claude_code: Any) -> None:
    developer = spent_up(stack, "bedrock_only")
    before = len(told_of(stack, developer))
    ran = claude_code(developer.base_url, "say hi")
    assert (ran.exit_code, "claude-code-proxy: the Bedrock budget of this access key " in ran.stdout) == (1, True), ran
    assert f" of $0.10 spent or reserved this month; it begins anew on {next_month():%Y-%m-%d} (UTC)" in ran.stdout, ran
    [only] = told_of(stack, developer)[before:]
    assert (only["status"], only["error_type"], only["cost_micros"]) == (402, "billing_error", 0)


def test_claude_code_shows_the_plans_own_limit_when_the_budget_is_spent(stack: Any, claude_code: Any) -> None:
    stack.anthropic.fault("plan_exhausted", reset=600)
    developer = spent_up(stack, "plan_first")
    before, paid_before = len(told_of(stack, developer)), len(stack.bedrock_posts())
    ran = claude_code(developer.base_url, "say hi", oauth=True)
    assert (ran.exit_code, "hit your" in ran.stdout) == (1, True), ran
    [only] = told_of(stack, developer)[before:]
    assert (only["status"], only["provider"], only["error_type"]) == (429, "plan", "rate_limit_error")
    assert len(stack.bedrock_posts()) == paid_before


def test_what_killed_workers_had_reserved_can_be_spent_again(stack: Any, capsys: Any) -> None:
    """Its budget is set to what the request in flight has reserved, so there is room for nothing else."""
    developer = stack.developer("bedrock_only", budget_micros=100 * CENT)
    stack.bedrock.fault("hang", times=1)
    with abandoned(developer, messages=[{"role": "user", "content": "a long story " * 30_000}]):
        reserved = await_true(lambda: pending(stack, developer))
        lower = partial(replace, monthly_budget_micros=reserved)
        stack.database.run(lambda c: change_key(c, developer.access_key_id, lower, Limits(1000, 10), datetime.now(UTC)))
        await_true(lambda: ask(developer).status == 402)
        [os.kill(pid, signal.SIGKILL) for pid in stack.product.worker_pids()]
    killed = machine.now()
    await_true(lambda: asked(developer) == 200)
    took = machine.now().since(killed)
    with capsys.disabled():
        print(f"\n${reserved / 1e6:.2f} reserved by killed workers were free after {took:.1f} s")
    assert took < SILENT_AFTER.total_seconds() + 10
    rows = await_true(lambda: (found := paid(stack, developer)) and len(found) == flushed(stack, developer) and found)
    assert spend_of_month(stack, developer) == sum(cost for _, _, cost in rows)


def pending(stack: Any, developer: Any) -> int:
    """What the workers say that they have reserved."""
    table = spend_pending.c
    mine = select(func.coalesce(func.sum(table.micros), 0)).where(table.access_key_id == developer.access_key_id)
    return int(stack.database.read(lambda c: c.execute(mine).scalar_one()))


def asked(developer: Any) -> int:
    """0 while nobody listens."""
    try:
        return ask(developer).status
    except OSError:
        return 0


def test_a_crowd_overshoots_by_no_more_than_what_was_in_flight_and_two_seconds_of_spend(stack: Any, record_property: Any) -> None:
    developer, budget = stack.developer("bedrock_only", budget_micros=40 * CENT), 40 * CENT
    began = machine.now()
    ends_at = began.clock + CROWD_S
    with ThreadPoolExecutor(CROWD) as crowd:
        statuses = {status for asked in crowd.map(lambda _: until(ends_at, developer), range(CROWD)) for status in asked}
    assert statuses == {200, 402}
    two_seconds = 2.0 * machine.now().stretched_since(began)
    rows = eventually(lambda: (found := paid(stack, developer)) and len(found) == flushed(stack, developer) and found)
    crossed = crossing(rows, budget)
    excusable = sum(cost for started, ended, cost in rows if ended >= crossed and started <= crossed + two_seconds)
    total = sum(cost for _, _, cost in rows)
    record_property("overshoot_micros", total - budget)
    assert budget < total <= budget + excusable
    assert spend_of_month(stack, developer) == total
    assert ask(developer).status == 402


def until(deadline: float, developer: Any) -> list[int]:
    """What one of the crowd is answered."""
    answers = []
    while time.monotonic() < deadline:
        answers.append(ask(developer, max_tokens=300, messages=[{"role": "user", "content": "say-tokens:300"}]).status)
    return answers


def paid(stack: Any, developer: Any) -> list[tuple[float, float, int]]:
    """(started, ended, micro-dollars) of every served request, as they ended."""
    table = requests.c
    query = select(table.started_at, table.total_ms, table.cost_micros).where(table.access_key_id == developer.access_key_id)
    found = stack.database.read(lambda c: c.execute(query.where(table.status == 200)).all())
    rows = [(row.started_at.timestamp(), row.started_at.timestamp() + row.total_ms / 1000, row.cost_micros) for row in found]
    return sorted(rows, key=lambda row: row[1])


def flushed(stack: Any, developer: Any) -> int:
    """How many requests the workers say that they served."""
    lines = (each["context"] for each in stack.product.access_lines())
    return sum(line["access_key_id"] == developer.access_key_id and line["status"] == 200 for line in lines)


def crossing(rows: list[tuple[float, float, int]], budget: int) -> float:
    """When what was spent reached the budget."""
    sums = accumulate(cost for _, _, cost in rows)
    return next(ended for (_, ended, _), total in zip(rows, sums, strict=True) if total >= budget)


def spend_of_month(stack: Any, developer: Any) -> int:
    of_key = select(func.sum(spend_monthly.c.cost_micros)).where(spend_monthly.c.access_key_id == developer.access_key_id)
    return int(stack.database.read(lambda c: c.execute(of_key).scalar_one()))
