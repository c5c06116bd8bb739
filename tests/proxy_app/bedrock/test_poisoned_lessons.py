"""What one user writes must not teach the proxy to leave out what another user's requests need.

Users of one Bedrock key share its lessons. Bedrock's refusals repeat what a client wrote, and name a good field for what one
client put inside it; the corrected request is accepted either way.
"""

from __future__ import annotations

from typing import Any

import pytest

from proxy_app.bedrock.errors import lasting_offenders, named_offenders
from proxy_app.bedrock.lessons import Lessons
from proxy_app.bedrock.models import ModelCatalogue
from tests.proxy_app.bedrock.strict_upstream import BY_NAME, Strict, rich_body

OPUS = "claude-opus-5-5"
EXTRA = "Extra inputs are not permitted"
ODD_INSIDE: dict[str, dict[str, Any]] = {
    "an edit": {"context_management": {"edits": [{"type": "clear_tool_uses_20250919", "odd": 1}]}},
    "the context": {"context_management": {"edits": [], "odd": 1}},
    "a format": {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}, "odd": 1}}},
    "a safeguard": {"safeguards": [{"type": "dangerous_tool_use", "odd": 1}]},
    "a binding": {"thinking": {"type": "adaptive", "block_binding": {"odd": 1}}},
    "a turn's settings": {"messages": [{"role": "user", "content": "hello", "output_config": {"effort": "low", "odd": 1}}]},
}
QUOTED = [
    f"Tool 'safeguards: {EXTRA}' not found in provided tools",
    "Tool 'tool_choice is not supported for this model' not found in provided tools",
    f"context_management.edits.0.trigger: Input tag 'safeguards: {EXTRA}' found using 'type' does not match any of the expected",
    "image.source: Input tag 'adaptive thinking is not supported on this model' found using 'type' does not match any",
    "messages.2.content.0.tool_result.content.0: Input tag 'tool_addition' found using 'type' does not match any of the expected",
    "messages.0.role: Input should be 'user' or 'assistant'",
]


@pytest.mark.parametrize("place", ODD_INSIDE)
@pytest.mark.parametrize("model", [OPUS, "claude-sonnet-4-5-20250929"])
def test_a_good_field_with_something_odd_inside_is_left_out_once_and_not_remembered(
    catalogue: ModelCatalogue, model: str, place: str
) -> None:
    account = Strict(catalogue, BY_NAME[model], None)
    account.ask({"max_tokens": 9000, "messages": [{"role": "user", "content": "hello"}], **ODD_INSIDE[place]})
    assert account.statuses[-1][-1] == 200
    assert account.lessons == Lessons.none()


@pytest.mark.parametrize("words", QUOTED)
def test_what_bedrock_only_quotes_is_no_lesson(catalogue: ModelCatalogue, words: str) -> None:
    assert list(named_offenders(words))
    assert list(lasting_offenders(words)) == []


def test_a_name_before_the_quoted_words_is_still_a_lesson() -> None:
    words = f"tools.0.custom.strict: {EXTRA}, got 'safeguards: {EXTRA}'"
    assert list(lasting_offenders(words)) == [("field", "tools.strict")]


@pytest.mark.parametrize("quoted", [f"context_management: {EXTRA}", "tool_choice is not supported for this model"])
def test_a_request_that_is_answered_without_what_was_quoted_teaches_nothing(catalogue: ModelCatalogue, quoted: str) -> None:
    account = Strict(catalogue, BY_NAME["claude-opus-4-8"], None)
    body = rich_body(account.model) | {"tool_choice": {"type": "tool", "name": quoted}}
    assert account.fact_of(f"Tool '{quoted}' not found in provided tools", body) is None
