"""Cache breakpoints."""

from __future__ import annotations

from typing import Any

BASH = {"name": "Bash", "description": "runs", "input_schema": {"type": "object"}}
EPHEMERAL = {"type": "ephemeral"}


def test_a_breakpoint_keeps_only_type_and_a_known_ttl(bench: Any) -> None:
    control = {"type": "ephemeral", "scope": "global", "ttl": "1h"}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x", "cache_control": control}]}
    assert bench.content(result)[0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert bench.content(result, model="claude-opus-4-1")[0]["content"][0]["cache_control"] == EPHEMERAL


def test_only_the_last_four_breakpoints_stay(bench: Any) -> None:
    blocks = [{"type": "text", "text": str(n), "cache_control": EPHEMERAL} for n in range(4)]
    body = bench.body(tools=[{**BASH, "cache_control": EPHEMERAL}], messages=[{"role": "user", "content": blocks}])
    assert body["tools"] == [BASH]
    assert body["messages"][0]["content"] == blocks


def test_no_hour_comes_after_five_minutes(bench: Any) -> None:
    hour = {"type": "ephemeral", "ttl": "1h"}
    blocks = [{"type": "text", "text": "a", "cache_control": EPHEMERAL}, {"type": "text", "text": "b", "cache_control": hour}]
    assert [block["cache_control"] for block in bench.content(*blocks)] == [EPHEMERAL, EPHEMERAL]
    assert [block["cache_control"] for block in bench.content(*reversed(blocks))] == [hour, EPHEMERAL]


def test_a_breakpoint_for_the_whole_request_stays_where_the_model_has_it_and_counts(bench: Any) -> None:
    blocks = [{"type": "text", "text": str(n), "cache_control": EPHEMERAL} for n in range(4)]
    body = bench.body(cache_control={**EPHEMERAL, "scope": "global"}, messages=[{"role": "user", "content": blocks}])
    assert body["cache_control"] == EPHEMERAL
    assert "cache_control" not in body["messages"][0]["content"][0]
    assert "cache_control" not in bench.body("claude-sonnet-4-6", cache_control=EPHEMERAL)
