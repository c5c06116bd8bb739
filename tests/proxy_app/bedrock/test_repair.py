"""Repair as a whole: no body breaks it, and what it gives is JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_app.bedrock.models import ModelCatalogue
from proxy_app.bedrock.repair import CannotServe, repair, serialise

NEWEST, OLD = "claude-opus-5-5", "claude-sonnet-4-5"


@pytest.mark.parametrize("value", ["\ud800", 2**70, {"deep": [2**64]}])
def test_what_orjson_refuses_is_serialised_all_the_same(value: Any) -> None:
    assert json.loads(serialise({"x": value})) == {"x": value}


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
WORDS = (
    "type role content text tools system messages thinking cache_control ttl tool_choice name source output_config format effort"
    " context_management edits metadata user_id tool definition clear_at"
)
VALUES = (
    "user system assistant tool_result tool_addition tool_definition enabled adaptive url image web_search_1 server_tool_use"
    " compaction web_search_tool_result any disabled ephemeral next_user_message"
)
KEYS, TEXTS = st.sampled_from(WORDS.split()), st.sampled_from(VALUES.split())
JUNK = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)


BODIES = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({"role": TEXTS, "content": JUNK}), max_size=4)},
    optional=dict.fromkeys(
        ("tools", "system", "thinking", "tool_choice", "output_config", "context_management", "metadata"), JUNK
    ),
)


@settings(max_examples=250, deadline=None)
@given(
    body=BODIES | st.dictionaries(KEYS, JUNK, max_size=6),
    model=st.sampled_from([NEWEST, OLD, "claude-3-5-haiku-latest", "arn", "claude-opus-4-7"]),
)
def test_no_body_breaks_the_repair(catalogue: ModelCatalogue, body: dict[str, Any], model: str) -> None:
    before = orjson.dumps(body, option=orjson.OPT_SORT_KEYS) if _fits(body) else b""
    try:
        once = repair(body, (), catalogue.capabilities(model)).body
    except CannotServe:
        return
    assert serialise(repair(once, once.get("anthropic_beta", ()), catalogue.capabilities(model)).body) == serialise(once)
    assert before == (orjson.dumps(body, option=orjson.OPT_SORT_KEYS) if before else b"")


def test_a_result_inside_a_result_inside_a_result_is_left_alone(bench: Any) -> None:
    deep: dict[str, Any] = {"type": "text", "text": "x"}
    for _ in range(600):
        deep = {"type": "tool_result", "tool_use_id": "t", "content": [deep]}
    assert bench.content(deep)[0] == deep


def _fits(body: Any) -> bool:
    try:
        orjson.dumps(body)
    except TypeError:
        return False
    return True
