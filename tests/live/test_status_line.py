"""The status line inside the real Claude Code CLI, in a terminal of its own, with the settings that the status page shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.live.asking import exchange
from tests.live.claude_terminal import ClaudeTerminal
from tests.live.leaver import eventually
from tests.live.test_plan_windows_live import ask_logged_in

LONGEST_S = 60


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    """`opened(base_url, settings)`: the CLI's interactive screen."""
    terminals: list[ClaudeTerminal] = []

    def open_terminal(base_url: str, settings: dict[str, Any]) -> ClaudeTerminal:
        terminals.append(ClaudeTerminal(tmp_path, base_url, settings))
        return terminals[-1]

    yield open_terminal
    for terminal in terminals:
        terminal.close()


def snippets(developer: Any) -> list[dict[str, Any]]:
    """The settings that the developer's page shows, with their key put in: in the address, and in a header."""
    page = exchange(f"{developer.base_url}/status", "GET", None, {"accept": "text/html"}).body.decode()
    blocks = [unescape(part.partition("</code>")[0]) for part in page.split("<code>{")[1:]]
    return [json.loads("{" + block.replace("<your key>", developer.access_key)) for block in blocks]


def looks(stack: Any, developer: Any) -> list[int]:
    """Statuses of the status lines that the server gave this key."""
    lines = [line["context"] for line in stack.product.access_lines()]
    shown = [f"key {developer.access_key[:9]}"]
    return [line["status"] for line in lines if line.get("endpoint") == "statusline" and line["trace"] == shown]


@pytest.mark.parametrize("form", [0, 1], ids=["key in the address", "key in a header"])
def test_claude_code_shows_our_line_with_the_settings_of_the_page(stack: Any, opened: Any, form: int) -> None:
    developer = stack.developer()
    assert ask_logged_in(developer).came_from_plan
    settings = snippets(developer)[form]
    assert developer.base_url.startswith(settings["env"]["ANTHROPIC_BASE_URL"])
    terminal = opened("", settings)
    terminal.await_text("Plan 5h 31% 7d 12%", LONGEST_S)
    assert eventually(lambda: looks(stack, developer))[0] == 200


def test_the_line_tells_of_bedrock_after_a_turn_that_fell_back(stack: Any, opened: Any) -> None:
    developer = stack.developer(budget_micros=50_000_000)
    terminal = opened("", snippets(developer)[0])
    terminal.await_text("Plan", LONGEST_S)
    stack.anthropic.fault("plan_exhausted", reset=3600)
    terminal.type("say hi\r")
    terminal.await_text("Hello from Bedrock", LONGEST_S)
    terminal.await_text("(plan exhausted)", LONGEST_S)
    terminal.await_text("of $50", LONGEST_S)
