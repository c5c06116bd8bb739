"""What the tests of the strict Bedrock submit, and to which model."""

from __future__ import annotations

from typing import Any

from sandbox.bedrock_models import MODELS, Model
from sandbox.bedrock_refusals import Submission

BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5000, "messages": [{"role": "user", "content": "hello"}]}
BY_NAME = {model.name: model for model in MODELS.values()}
NAMES = {
    "opus-4-1": "claude-opus-4-1-20250805", "sonnet-4-5": "claude-sonnet-4-5-20250929", "opus-4-5": "claude-opus-4-5-20251101",
    "haiku-4-5": "claude-haiku-4-5-20251001",
}  # fmt: skip


def model_of(short: str) -> Model:
    return BY_NAME[NAMES.get(short, f"claude-{short}")]


def submission(short: str, prefix: str = "us", **changes: Any) -> Submission:
    model = model_of(short)
    return Submission(model, {name: value for name, value in (BODY | changes).items() if value is not None}, prefix, model.betas)


def user(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(blocks)}]


def text(words: str = "x", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def marked(**more: Any) -> dict[str, Any]:
    return text(cache_control={"type": "ephemeral", **more})
