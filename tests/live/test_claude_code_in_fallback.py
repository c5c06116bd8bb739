"""What developers do beside plain turns, done by the real Claude Code CLI while the Plan is used up: each kind of work is
compared with the same work on the Plan alone.

Both stand-ins say the same words, so that whatever differs is ours.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.live.claude_cli import BUNDLED, Ran, Session, transcript, work_in
from tests.live.odd_mcp_server import PICTURE

SAYS = "The tide is coming in."
SERVER = Path(__file__).with_name("odd_mcp_server.py")
MCP = json.dumps({"mcpServers": {"odd": {"type": "stdio", "command": sys.executable, "args": [str(SERVER)]}}})
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
SCHEMA = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
MODEL = "claude-opus-5-5"
NAMES = re.compile(r"[^ '\"]*[/-][ab][/-]work[^ '\"]*|[0-9a-f]{8}-[0-9a-f-]{27}|\ba[0-9a-f]{16}\b|\d+ tokens left")
EVERYTHING = {"ENABLE_TOOL_SEARCH": "false"}  # all tools at once


@dataclass(frozen=True)
class Work:
    """`prompts` are the turns; the later ones continue the first. `asks` is what a request to Bedrock must hold, `says` what the
    transcript must, or nothing was proven. `beside`: parts of it run at the same time, in no order."""

    prompts: tuple[str, ...]
    options: tuple[str, ...] = ()
    asks: str = ""
    says: str = SAYS
    beside: bool = False


def reading(name: str, kind: str) -> Work:
    return Work((f'use-tool:Read:{{"file_path":"WORK/{name}"}}',), ("--allowedTools", "Read"), asks=kind)


BASH = ("--allowedTools", "Bash")
AGENT = '{"description":"d","prompt":"use-tool:Bash:echo deep","subagent_type":"general-purpose"}'
WORKS = {
    "a picture is read": reading("a.png", "image/png"),
    "a PDF is read": reading("a.pdf", "application/pdf"),
    "a tool says very much": Work(("use-tool:Bash:seq 200000",), BASH, asks=r"1\n2\n3"),
    "a tool has an odd schema": Work(
        ('use-tool:mcp__odd__grow:{"tree":{"next":{}}}',),
        ("--mcp-config", MCP, "--allowedTools", "mcp__odd__grow"),
        asks="patternProperties",
        says="rings",
    ),
    "a subagent works": Work((f"use-tool:Agent:{AGENT}",), (*BASH, "Agent"), asks="echo deep", beside=True),
    "an answer has a form": Work(("count",), ("--json-schema", SCHEMA)),
    "a conversation is compacted": Work(("use-tool:Bash:echo one", "/compact", "and now?"), BASH, says="Compacted"),
}


@pytest.fixture(scope="module")
def anthropic_options() -> tuple[str, ...]:
    return ("--keep-bodies", "--text", SAYS)


@pytest.fixture(scope="module")
def bedrock_options() -> tuple[str, ...]:
    return ("--keep-bodies", "--text", SAYS)


@pytest.mark.parametrize("name", WORKS)
def test_work_in_fallback_reads_as_on_the_plan_alone(stack: Any, tmp_path: Path, name: str) -> None:
    work = WORKS[name]
    alone = done(work, Session(BUNDLED, tmp_path / "a", stack.developer(bedrock="").base_url, MODEL))
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    inside = done(work, Session(BUNDLED, tmp_path / "b", stack.developer().base_url, MODEL))
    told = told_by(inside, work)
    assert [turn.exit_code for turn in inside] == [0] * len(work.prompts)
    assert told == told_by(alone, work)
    assert work.says in str(told)
    assert any(work.asks in post["body"] for post in stack.bedrock_posts())
    assert served(stack) == {("bedrock", 200)}


def done(work: Work, session: Session) -> list[Ran]:
    place = work_in(session.home)
    (place / "a.png").write_bytes(base64.b64decode(PICTURE))
    (place / "a.pdf").write_bytes(PDF)
    prompts = [prompt.replace("WORK", str(place)) for prompt in work.prompts]
    first = session.begin(prompts[0], *work.options, **EVERYTHING)
    return [first, *(session.go_on(prompt, *work.options, **EVERYTHING) for prompt in prompts[1:])]


def told_by(turns: list[Ran], work: Work) -> list[str]:
    """The transcript without what differs between two runs: paths, names of sessions and agents."""
    lines = [NAMES.sub("NAME", str(entry)) for entry in transcript(*turns)]
    return sorted(lines) if work.beside else lines


def served(stack: Any) -> set[tuple[str, int]]:
    contexts = (line["context"] for line in stack.product.access_lines())
    mine = [each for each in contexts if each["user_id"] == stack.developers[-1].user_id and each["endpoint"] == "messages"]
    return {(each["provider"], each["status"]) for each in mine}
