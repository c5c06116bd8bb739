"""`model add|list|remove` as a person and as a script meet it (SPEC section 11)."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from admin_app.cli import Outside, run

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KNOWN = frozenset({"claude-opus-5-5", "claude-sonnet-5-5"})
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


class Terminal:
    def __init__(self, folder: Path) -> None:
        self._environ = {"PROXY_DATA_DIR": str(folder)}
        self("migrate")

    def __call__(self, line: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        outside = Outside(self._environ, io.StringIO(), out, err, lambda: NOW, _no_probe, lambda *_: 7, lambda: KNOWN)
        return run(line.split(), outside), out.getvalue(), err.getvalue()

    def document(self, line: str) -> Any:
        code, out, err = self(f"{line} --json")
        assert (code, err) == (0, "")
        return json.loads(out)


def _no_probe(_: object) -> Any:
    raise AssertionError("nothing is to be tested")


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "var")


def test_a_model_is_added_listed_and_removed(terminal: Terminal) -> None:
    added = terminal.document(
        "model add claude-opus-6 --bedrock anthropic.claude-opus-6 --like claude-opus-5-5 --prefix us --prefix global"
        " --context-window 2000000 --max-output 64000"
    )
    assert terminal.document("model list") == [
        {
            "id": added["id"],
            "model": "claude-opus-6",
            "bedrock": "anthropic.claude-opus-6",
            "prefixes": "us,global",
            "like": "claude-opus-5-5",
            "context_window": 2_000_000,
            "max_output": 64_000,
            "bedrock_key_id": None,
            "created_at": "2026-05-01T12:00:00Z",
        }
    ]
    assert terminal.document(f"model remove {added['id']}") == {"id": added["id"], "removed": True}
    assert terminal.document("model list") == []


def test_a_shipped_model_is_like_itself_unless_told_otherwise(terminal: Terminal) -> None:
    terminal.document(f"model add Claude-Opus-5-5 --bedrock {ARN}")
    assert [row["like"] for row in terminal.document("model list")] == ["claude-opus-5-5"]


def test_people_are_told_what_was_done_and_what_comes_next(terminal: Terminal) -> None:
    assert "python -m admin_app model add" in terminal("model list")[1]
    code, out, _ = terminal(f"model add claude-opus-5-5 --bedrock {ARN}")
    assert (code, ARN in out, "within seconds in every worker" in out) == (0, True, True)
    assert ARN in terminal("model list")[1]


@pytest.mark.parametrize(
    ("command", "code", "why"),
    [
        (f"model add claude-opus-9 --bedrock {ARN}", 1, "known are: claude-opus-5-5, claude-sonnet-5-5"),
        ("model add claude-opus-5-5 --bedrock http://evil.example", 1, "an ARN of bedrock or looks like"),
        (f"model add claude-opus-5-5 --bedrock {ARN} --bedrock-key bdk_x", 1, "there is no Bedrock key bdk_x"),
        ("model remove mdl_x", 1, "there is no model row mdl_x"),
        ("model add claude-opus-5-5", 2, "--bedrock"),
        ("model add claude-opus-5-5 --bedrock anthropic.claude-x --max-output many", 2, "max-output"),
        ("model", 2, "COMMAND"),
    ],
)
def test_a_refusal_says_why_in_one_document(terminal: Terminal, command: str, code: int, why: str) -> None:
    found, out, err = terminal(f"{command} --json")
    assert (found, why in json.loads(out)["error"], why in err) == (code, True, True)
    assert terminal.document("model list") == []
