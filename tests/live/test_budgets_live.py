"""Budgets on running servers: who is refused, with which words, and how far over a budget a crowd can get."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any

import pytest
from sqlalchemy import func, select

from core.models import requests
from core.spend_models import spend_monthly
from tests.live.asking import ask
from tests.live.leaver import eventually

CENT = 10_000
CROWD = 200
CROWD_S = 8.0


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
    assert time.strftime("%Y-", time.gmtime()) in refused.json["error"]["message"]


def test_claude_code_shows_our_message_after_one_request(stack: Any, claude_code: Any) -> None:
    developer = stack.developer("bedrock_only", budget_micros=0)
    ran = claude_code(developer.base_url, "say hi")
    assert (ran.exit_code, "the Bedrock budget of this access key is used up" in ran.stdout) == (1, True), ran
    lines = [
        each["context"] for each in stack.product.access_lines() if each["context"]["access_key_id"] == developer.access_key_id
    ]
    assert [line["status"] for line in lines if line["endpoint"] == "messages"] == [402]


def test_claude_code_shows_the_plans_own_limit_when_the_budget_is_spent(stack: Any, claude_code: Any) -> None:
    developer = stack.developer(budget_micros=0)
    stack.anthropic.fault("plan_exhausted", reset=600)
    ran = claude_code(developer.base_url, "say hi", oauth=True)
    assert (ran.exit_code, "hit your" in ran.stdout) == (1, True), ran


def test_a_crowd_overshoots_by_no_more_than_what_was_in_flight_and_two_seconds_of_spend(stack: Any, record_property: Any) -> None:
    developer, budget = stack.developer("bedrock_only", budget_micros=40 * CENT), 40 * CENT
    began = time.monotonic()
    with ThreadPoolExecutor(CROWD) as crowd:
        statuses = {status for asked in crowd.map(lambda _: until(began + CROWD_S, developer), range(CROWD)) for status in asked}
    assert statuses == {200, 402}
    rows = eventually(lambda: (found := paid(stack, developer)) and len(found) == flushed(stack, developer) and found)
    crossed = crossing(rows, budget)
    excusable = sum(cost for started, ended, cost in rows if ended >= crossed and started <= crossed + 2.0)
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
