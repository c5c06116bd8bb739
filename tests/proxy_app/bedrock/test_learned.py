"""One corrective step per class of refusal, and only for what was sent."""

from __future__ import annotations

from typing import Any

import pytest

from proxy_app.bedrock.betas import features_at
from proxy_app.bedrock.capabilities import Capabilities
from proxy_app.bedrock.errors import BedrockFault, Kind
from proxy_app.bedrock.learned import THINKING_BLOCKS, Learned, corrective
from proxy_app.bedrock.models import ModelCatalogue
from proxy_app.bedrock.repair import Repaired, repair

CONTEXT = "context-management-2025-06-27"
BODY: dict[str, Any] = {
    "max_tokens": 4096,
    "thinking": {"type": "adaptive"},
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "", "signature": "x"}, {"type": "text", "text": "yes"}],
        },
        {"role": "user", "content": "go on"},
    ],
}


def sent(catalogue: ModelCatalogue, learned: Learned | None = None) -> Repaired:
    return repair(BODY, (CONTEXT, "claude-code-20250219"), able(catalogue), learned)


def able(catalogue: ModelCatalogue) -> Capabilities:
    return catalogue.capabilities("claude-opus-5-5")


def refused(message: str, kind: Kind = Kind.BETA_OR_FIELD) -> BedrockFault:
    return BedrockFault(kind, detail=message)


def test_a_named_field_goes_with_its_beta(catalogue: ModelCatalogue) -> None:
    learned = corrective(
        refused("context_management: Extra inputs are not permitted"), sent(catalogue), Learned.nothing(), able(catalogue)
    )
    assert learned is not None
    again = sent(catalogue, learned)
    assert "context_management" not in again.body
    assert again.betas == ("claude-code-20250219",)


def test_a_named_beta_goes_with_its_field(catalogue: ModelCatalogue) -> None:
    fault = refused(f"Unexpected value(s) `{CONTEXT}` for the `anthropic-beta` header")
    learned = corrective(fault, sent(catalogue), Learned.nothing(), able(catalogue))
    assert learned is not None and learned.betas == {CONTEXT}
    assert "context_management" not in sent(catalogue, learned).body


def test_an_unnamed_refusal_takes_all_betas_and_what_they_open(catalogue: ModelCatalogue) -> None:
    learned = corrective(refused("invalid beta flag"), sent(catalogue), Learned.nothing(), able(catalogue))
    assert learned is not None
    again = sent(catalogue, learned)
    assert again.betas == ()
    assert "context_management" not in again.body


def test_a_name_that_was_not_sent_is_no_lesson(catalogue: ModelCatalogue) -> None:
    fault = refused("Unexpected value(s) `afk-mode-2026-01-31` for the `anthropic-beta` header")
    assert corrective(fault, sent(catalogue), Learned.nothing(), able(catalogue)) is None


def test_a_name_outside_the_closed_list_is_no_lesson(catalogue: ModelCatalogue) -> None:
    assert (
        corrective(
            refused("messages.0.surprise: Extra inputs are not permitted"), sent(catalogue), Learned.nothing(), able(catalogue)
        )
        is None
    )


def test_a_class_is_corrected_only_once(catalogue: ModelCatalogue) -> None:
    fault = refused("invalid beta flag")
    learned = corrective(fault, sent(catalogue), Learned.nothing(), able(catalogue))
    assert learned is not None
    assert corrective(fault, sent(catalogue), learned, able(catalogue)) is None


def test_another_class_may_still_be_corrected(catalogue: ModelCatalogue) -> None:
    first = corrective(
        refused("context_management: Extra inputs are not permitted"), sent(catalogue), Learned.nothing(), able(catalogue)
    )
    assert first is not None
    second = corrective(
        refused("Invalid `signature` in `thinking` block", Kind.THINKING), sent(catalogue, first), first, able(catalogue)
    )
    assert second is not None and THINKING_BLOCKS in second.fields


def test_refused_thinking_is_stripped(catalogue: ModelCatalogue) -> None:
    learned = corrective(
        refused("Invalid `signature` in `thinking` block", Kind.THINKING), sent(catalogue), Learned.nothing(), able(catalogue)
    )
    assert learned is not None
    assert not sent(catalogue, learned).uses(THINKING_BLOCKS)


def test_other_faults_are_not_corrected(catalogue: ModelCatalogue) -> None:
    assert corrective(refused("Too many requests", Kind.THROTTLED), sent(catalogue), Learned.nothing(), able(catalogue)) is None
    assert (
        corrective(
            refused("tool type 'x_1' is not supported for this model"), sent(catalogue), Learned.nothing(), able(catalogue)
        )
        is None
    )


def test_what_was_remembered_does_not_count_as_tried(catalogue: ModelCatalogue) -> None:
    remembered = Learned.nothing().with_dropped("field", "safeguards")
    assert corrective(refused("invalid beta flag"), sent(catalogue, remembered), remembered, able(catalogue)) is not None


@pytest.mark.parametrize(
    ("path", "features"),
    [
        ("context_management.edits.keep", {"context_management"}),
        ("thinking.block_binding.prefix_mismatch_behavior", {"thinking.block_binding"}),
        ("output_config", {"output_config.effort", "output_config.format"}),
        ("thinking.budget_tokens", set()),
        ("nothing_known", set()),
    ],
)
def test_a_refused_path_is_about_the_features_in_it_or_around_it(path: str, features: set[str]) -> None:
    assert features_at(path) == features
