"""What Claude Code asks beside its conversation, while the Plan is away: a search, many token counts, a title, its quota.

The search and the counts are the real CLI's. It sends title and quota probe only in a terminal, so these two are posted here
as they were recorded from it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.live.asking import Answer, post
from tests.live.claude_cli import BUNDLED, OAUTH_TOKEN, Session, transcript

MODEL = "claude-opus-5-5"
COUNTED, UNCOUNTED = "claude-sonnet-4-5-20250929", MODEL  # Bedrock counts the tokens of models up to 4.6 only
SEARCH = 'use-tool:WebSearch:{"query":"tides"}'
SEARCHING = ("--allowedTools", "WebSearch")
OFFERED = {"ENABLE_TOOL_SEARCH": "false"}  # all tools at once, so that WebSearch is among them
RECORDED = Path(__file__).parent.parent / "proxy_app" / "bedrock" / "fixtures" / "claude_code_requests.json"
CUT_OUT = re.compile(r"<str (\d+)>")  # texts were replaced by their length


@pytest.fixture
def session(stack: Any, tmp_path: Path) -> Session:
    return Session(BUNDLED, tmp_path, stack.developer().base_url, MODEL)


def test_a_search_that_only_the_plan_can_make_is_made_there_though_the_session_is_on_bedrock(
    stack: Any, session: Session
) -> None:
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    ran = session.begin(SEARCH, *SEARCHING, **OFFERED)
    assert (ran.exit_code, ran.result["is_error"]) == (0, False), ran
    assert [line["provider"] for line in messages(stack)] == ["bedrock", "plan", "bedrock"]
    assert "plan:last resort" in messages(stack)[1]["trace"]
    assert "https://tides.example/" in result_of(ran)


def test_a_search_that_nobody_can_make_ends_in_the_plans_own_answer_and_the_session_goes_on(stack: Any, session: Session) -> None:
    stack.anthropic.fault("plan_exhausted", reset=600)
    ran = session.begin(SEARCH, *SEARCHING, **OFFERED)
    assert (ran.exit_code, ran.result["is_error"]) == (0, False), ran
    lines = messages(stack)
    assert [(line["provider"], line["status"]) for line in lines] == [("bedrock", 200), ("plan", 429), ("bedrock", 200)]
    assert lines[1]["fault"] == "plan_exhausted"
    assert any(reason.startswith("bedrock:") for reason in lines[1]["trace"])
    assert "limit" in result_of(ran)


@pytest.mark.parametrize(("model", "provider"), [(COUNTED, "bedrock"), (UNCOUNTED, "")], ids=["by Bedrock", "estimated"])
def test_the_counts_of_a_context_report_are_answered_while_the_plan_is_away(
    stack: Any, tmp_path: Path, model: str, provider: str
) -> None:
    stack.anthropic.fault("overloaded", match={"path": "/v1/"})
    ran = Session(BUNDLED, tmp_path, stack.developer().base_url, model).begin("/context")
    assert (ran.exit_code, ran.result["is_error"]) == (0, False), ran
    counts = [line for line in own_lines(stack) if line["endpoint"] == "count_tokens"]
    assert len(counts) >= 20
    assert {(line["status"], line["provider"]) for line in counts} == {(200, provider)}
    assert "Context Usage" in ran.result["result"]


@pytest.mark.parametrize("model", [MODEL, "claude-opus-4-8", "claude-sonnet-4-5-20250929"])
def test_a_title_is_asked_of_bedrock_in_a_form_that_it_takes(stack: Any, model: str) -> None:
    stack.anthropic.fault("plan_exhausted", reset=600)
    answer = posted(stack.developer(), "title", model=model)
    assert (answer.status, answer.provider, answer.fallback) == (200, "bedrock", "plan_exhausted"), answer
    assert answer.events[-1][0] == "message_stop"
    assert len(stack.bedrock_posts()) == 1
    assert schema_told(json.loads(stack.bedrock_posts()[0]["body"]))


def test_the_quota_probe_is_the_plans_to_answer_even_when_it_is_used_up(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", reset=600)
    answers = [posted(developer, "quota_probe", authorization=f"Bearer {OAUTH_TOKEN}") for _ in range(2)]
    assert [(each.status, each.provider, each.fallback) for each in answers] == [(429, "plan", "")] * 2
    assert answers[0].headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert stack.bedrock_posts() == []


def own_lines(stack: Any) -> list[dict[str, Any]]:
    """The log lines of the developer who came last."""
    contexts = (line["context"] for line in stack.product.access_lines())
    return [each for each in contexts if each["user_id"] == stack.developers[-1].user_id]


def messages(stack: Any) -> list[dict[str, Any]]:
    return [line for line in own_lines(stack) if line["endpoint"] == "messages"]


def result_of(ran: Any) -> str:
    """What the first tool told the model."""
    return next(str(entry[-1]) for entry in transcript(ran) if entry[0] == "tool_result")


def posted(developer: Any, name: str, authorization: str = "", **changes: Any) -> Answer:
    """A recorded request, sent again as the CLI sent it."""
    recorded = json.loads(CUT_OUT.sub(lambda cut: ("some words " * 400)[: int(cut[1])], RECORDED.read_text()))[name]
    login = {"x-api-key": "", "authorization": authorization} if authorization else {}
    headers = {"anthropic-beta": recorded["betas"], **login}
    return post(developer, "/v1/messages?beta=true", recorded["body"] | changes, headers=headers)


def schema_told(body: dict[str, Any]) -> bool:
    """Whether the form of the answer reached Bedrock, as a field or in words."""
    told = body.get("output_config", {}).get("format") or next(block["text"] for block in reversed(body["system"]))
    return "additionalProperties" in str(told)
