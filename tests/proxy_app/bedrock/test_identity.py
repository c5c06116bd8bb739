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
        ("You", "You"),
    ],
)
def test_the_billing_block_goes(bench: Any, system: Any, left: Any) -> None:
    assert bench.body(system=system).get("system") == left
