"""The saved queries for CloudWatch Logs Insights answer what they say they do, over the lines of a real server."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import Any

import pytest

from core.crypto import new_access_key
from tests.live import insights
from tests.live.asking import ask
from tests.live.leaver import eventually

LATER = ("context.reason", "context.trace.2", "context.trace.3", "context.trace.4", "context.trace.5")


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {"PROXY_FLUSH_INTERVAL_S": "0.1"}


@pytest.fixture(scope="module")
def day(running: Any) -> dict[str, Any]:
    """What happened: ann on the Plan, bob on Bedrock twice and on the Plan once, cat got an error, and somebody had a bad key."""
    ann, bob, cat = running.developer(), running.developer(), running.developer("plan_only", bedrock="")
    asked = {"ann": ann, "bob": bob, "cat": cat, "on the Plan": ask(ann).request_id, "bob's": ask(bob).request_id}
    running.anthropic.fault("overloaded")
    asked["fallback"] = ask(bob).request_id
    asked["again"] = ask(bob, stream=False).request_id
    asked["error"] = ask(cat).request_id
    running.anthropic.reset()
    bad_key = new_access_key()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(running.product.base_url(bad_key) + "/v1/models", timeout=20)
    asked["bad key"] = bad_key[:9]
    eventually(lambda: len(running.product.access_lines()) == 6)
    return asked


def found(running: Any, name: str, **changed: str) -> list[dict[str, Any]]:
    query = insights.text_of(name)
    for old, new in changed.items():
        query = query.replace(old, new)
    return insights.run(query, running.product.logs())


def test_one_request_is_told_whole(running: Any, day: dict[str, Any]) -> None:
    [line] = found(running, "one-request", req_ID=day["fallback"])
    assert (line["context.provider"], line["context.fault"]) == ("bedrock", "plan_overloaded")
    assert (line["context.trace.0"], line["context.trace.1"]) == ("plan:plan_overloaded", "bedrock:200")


def test_who_is_on_bedrock_and_why(running: Any, day: dict[str, Any]) -> None:
    [row] = found(running, "on-bedrock")
    assert (row["context.user_id"], row["context.access_key_id"]) == (day["bob"].user_id, day["bob"].access_key_id)
    assert (row["context.fault"], row["answers"]) == ("plan_overloaded", 2)
    costs = [line["context"]["cost_micros"] for line in running.product.access_lines() if line["context"].get("cost_micros")]
    assert row["usd"] == sum(costs) / 1_000_000 > 0


def test_the_slowest_come_first(running: Any, day: dict[str, Any]) -> None:
    times = [row["context.total_ms"] for row in found(running, "slowest")]
    assert times == sorted(times, reverse=True) and len(times) == 5


def test_errors_by_fault(running: Any, day: dict[str, Any]) -> None:
    [row] = found(running, "errors-by-fault")
    assert (row["context.fault"], row["context.error_type"], row["context.status"]) == (
        "plan_overloaded",
        "overloaded_error",
        529,
    )
    assert row["answers"] == 1


def test_spend_by_user(running: Any, day: dict[str, Any]) -> None:
    rows = {row["context.user_id"]: row for row in found(running, "spend-by-user")}
    assert next(iter(rows)) == day["bob"].user_id
    assert (rows[day["bob"].user_id]["answers"], rows[day["bob"].user_id]["bedrock_usd"] > 0) == (3, True)
    assert (rows[day["ann"].user_id]["bedrock_usd"], rows[day["ann"].user_id]["list_value_usd"] > 0) == (0, True)


def test_who_was_turned_away(running: Any, day: dict[str, Any]) -> None:
    [row] = found(running, "turned-away")
    assert (row["context.status"], row["context.error_type"], row["requests"]) == (403, "permission_error", 1)
    assert row["context.trace.0"] == f"key {day['bad key']}"


def test_how_long_answers_take_by_provider(running: Any, day: dict[str, Any]) -> None:
    rows = {row["context.provider"]: row for row in found(running, "latency-by-provider")}
    assert {provider: row["answers"] for provider, row in rows.items()} == {"plan": 3, "bedrock": 2}
    assert all(
        row["overhead_p95"] <= row["total_p95"] and row["first_byte_p50"] <= row["first_byte_p95"] for row in rows.values()
    )
    longest = max(line["context"]["total_ms"] for line in running.product.access_lines() if "total_ms" in line["context"])
    assert max(row["total_p95"] for row in rows.values()) == longest


def test_what_the_proxy_complains_about(running: Any, day: dict[str, Any]) -> None:
    logged = running.product.logs()
    complaints = [line for line in logged if line["level"] in ("ERROR", "WARNING")]
    assert sum(row["lines"] for row in insights.run(insights.text_of("complaints"), logged)) == len(complaints)
    made_up = [
        {"level": level, "message": level, "timestamp": "2026-11-27T10:00:00.000Z"} for level in ("WARNING", "INFO", "WARNING")
    ]
    assert [(row["message"], row["lines"]) for row in insights.run(insights.text_of("complaints"), made_up)] == [("WARNING", 2)]


@pytest.mark.parametrize("name", insights.names())
def test_every_field_of_a_query_is_in_real_lines(running: Any, day: dict[str, Any], name: str) -> None:
    """But for steps of a trace that are rare, and what only lines about Bedrock keys have."""
    flat = {field for line in running.product.logs() for field, _ in insights._flat("", line)}
    assert insights.fields_of(insights.text_of(name)) - flat - set(LATER) == set()


@pytest.mark.parametrize("name", insights.names())
def test_a_query_begins_with_what_it_answers_and_is_bounded(name: str) -> None:
    text = insights.text_of(name)
    assert re.match(r"# [A-Z].*\.\n", text) and re.search(r"\| limit \d+\n\Z", text)
    assert len(text) < 10_000  # the most that a saved query may have
