"""A plan's windows on their way: from Anthropic's answer, or its refusal, into the tables that all workers read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from core.plan_window_rows import windows_since
from core.plan_windows import PlanWindows
from tests.live.asking import Answer, exchange, question
from tests.live.leaver import eventually

LOGIN = {
    "authorization": "Bearer sk-ant-oat01-sandbox",
    "anthropic-beta": "oauth-2025-04-20",
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
}


def ask_logged_in(developer: Any) -> Answer:
    return exchange(f"{developer.base_url}/v1/messages", "POST", json.dumps(question()).encode(), LOGIN)


def seen(stack: Any, developer: Any) -> PlanWindows | None:
    since = datetime.now(UTC) - timedelta(days=1)
    return stack.database.read(lambda c: windows_since(c, since)).get(developer.access_key_id)


def test_an_answer_tells_the_windows_and_a_refusal_too_although_bedrock_answered(stack: Any) -> None:
    developer = stack.developer()
    assert ask_logged_in(developer).came_from_plan
    allowed = eventually(lambda: seen(stack, developer))
    assert [(window.name, window.utilization) for window in allowed.windows] == [("5h", 0.31), ("7d", 0.12), ("overage", None)]

    stack.anthropic.fault("plan_exhausted", reset=600)
    assert ask_logged_in(developer).came_from_bedrock("plan_exhausted")
    rejected = eventually(lambda: (now := seen(stack, developer)) is not None and now.status == "rejected" and now)
    assert (rejected.claim, rejected.window("5h").utilization) == ("five_hour", 1.0)
