"""Thinking that comes back: bound to its conversation by some models, dropped when foreign, refused when tampered with."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.bedrock_refusals import dropped_thinking, refuse
from sandbox.binding import sign
from sandbox.conversation import Invalid
from tests.sandbox.submissions import BODY, marked, submission, text, user


def thought(body: dict[str, Any], model: str = "claude-opus-5-5", words: str = "hm") -> dict[str, Any]:
    signature = sign("bedrock-", model, body, len(body["messages"]), words)
    return {"type": "thinking", "thinking": words, "signature": signature}


def continued(block: dict[str, Any], before: str = "hello") -> list[dict[str, Any]]:
    return [{"role": "user", "content": before}, {"role": "assistant", "content": [block, text()]}, *user(text("go on"))]


def test_own_thinking_is_served_where_it_stood() -> None:
    served = submission("opus-5-5", messages=continued(thought(BODY)))
    refuse(served)
    assert dropped_thinking(served) == []


def test_thinking_is_bound_to_the_conversation_before_it() -> None:
    with pytest.raises(Invalid, match=r"messages\.1\.content\.0: Invalid `signature` in `thinking` block. The block is bound"):
        refuse(submission("opus-5-5", messages=continued(thought(BODY), before="hullo")))


def test_a_changed_system_prompt_moves_thinking_and_a_moved_cache_mark_does_not() -> None:
    block = thought(BODY | {"system": [text("s")]})
    refuse(submission("opus-5-5", system=[marked() | {"text": "s"}], messages=continued(block)))
    with pytest.raises(Invalid, match="bound to a different conversation"):
        refuse(submission("opus-5-5", system=[text("changed")], messages=continued(block)))


def test_moved_thinking_is_dropped_when_the_request_asks_for_that() -> None:
    thinking = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    moved = continued(thought(BODY), before="hullo")
    served = submission("opus-5-5", thinking=thinking, anthropic_beta=["thinking-binding-controls-2026-08-01"], messages=moved)
    refuse(served)
    assert dropped_thinking(served) == [{"type": "thinking_dropped", "path": "messages.1.content.0", "reason": "prefix"}]


def test_moved_thinking_does_not_matter_to_models_that_do_not_bind_it() -> None:
    refuse(submission("sonnet-5", messages=continued(thought(BODY, "claude-sonnet-5"), before="hullo")))


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (thought(BODY, "claude-sonnet-5-5"), "model"),
        ({"type": "thinking", "thinking": "x", "signature": "anthropic-x"}, "organization"),
    ],
)
def test_foreign_thinking_is_dropped_in_silence(block: dict[str, Any], reason: str) -> None:
    served = submission("opus-5-5", messages=continued(block, before="hullo"))
    refuse(served)
    assert [dropped["reason"] for dropped in dropped_thinking(served)] == [reason]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thinking": "changed"}, "messages.1.content.0: Invalid `signature` in `thinking` block"),
        ({"signature": ""}, "messages.1.content.0.thinking.signature: Field required"),
        ({"signature": "bedrock-nonsense"}, "messages.1.content.0: Invalid `signature` in `thinking` block"),
    ],
)
def test_tampered_thinking_is_refused_by_every_model(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        refuse(submission("sonnet-4-6", messages=continued(thought(BODY, "claude-sonnet-4-6") | change)))
    assert str(caught.value) == message
