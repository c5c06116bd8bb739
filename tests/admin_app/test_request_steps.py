"""A trace in people's words: who, and what came of it."""

from __future__ import annotations

import pytest

from admin_app.request_pages import Step, step


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("plan:200", Step("plan", "answered with 200")),
        ("plan:plan_exhausted", Step("plan", "plan exhausted")),
        (
            "plan:skipped(open until 2026-11-27T12:32:16Z plan_exhausted)",
            Step("plan", "skipped: open until 12:32:16 UTC plan exhausted"),
        ),
        ("bedrock:dropped field context_management", Step("bedrock", "dropped field context_management")),
        ("price:unknown model", Step("", "price:unknown model")),
        ("estimated", Step("", "estimated")),
    ],
)
def test_a_reason_code_is_told_in_words_and_names_stay_as_they_are(code: str, told: Step) -> None:
    assert step(code) == told
