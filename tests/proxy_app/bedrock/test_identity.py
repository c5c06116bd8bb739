"""Nothing that says who asks goes out."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest


def test_the_user_id_becomes_a_digest_of_itself(bench: Any) -> None:
    once = bench.body(metadata={"user_id": '{"device_id":"d"}', "more": 1})["metadata"]
    assert once == {"user_id": sha256(b'{"device_id":"d"}').hexdigest()}
    assert bench.body(metadata=once)["metadata"] == once
    assert bench.body(metadata={"user_id": '{"device_id":"e"}'})["metadata"] != once


@pytest.mark.parametrize("metadata", [{}, {"user_id": None}, {"user_id": ""}, "x", {"other": "y"}])
def test_metadata_without_a_user_id_goes(bench: Any, metadata: Any) -> None:
    assert "metadata" not in bench.body(metadata=metadata)


@pytest.mark.parametrize(
    ("system", "left"),
    [
        (
            [{"type": "text", "text": "x-anthropic-billing-header: v"}, {"type": "text", "text": "You"}],
            [{"type": "text", "text": "You"}],
        ),
        ([{"type": "text", "text": "x-anthropic-billing-header: v"}], None),
        ("x-anthropic-billing-header: v\nYou", "You"),
        ("x-anthropic-billing-header: v\n x-anthropic-billing-header: w\nYou", "You"),
        ("x-anthropic-billing-header: v\n \n", None),
        ("x-anthropic-billing-header: v\n" * 300_000 + "You", "You"),  # by the line it would take minutes
        (
            [{"type": "text", "text": "x-anthropic-billing-header: v\nYou", "cache_control": {"type": "ephemeral"}}],
            [{"type": "text", "text": "You", "cache_control": {"type": "ephemeral"}}],
        ),
        ("You", "You"),
    ],
    ids=range(8),
)
def test_the_billing_block_goes(bench: Any, system: Any, left: Any) -> None:
    assert bench.body(system=system).get("system") == left


def test_a_prompt_behind_the_billing_line_survives_an_instruction_of_ours(bench: Any) -> None:
    asked = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    system = bench.body(system="x-anthropic-billing-header: v\nYou", output_config=asked)["system"]
    assert [block["text"][:6] for block in system] == ["You", "Answer"]
