"""Sessions of the real Claude Code CLI that move between the upstreams while tools run and thinking is on.

Each is compared with the same session on the Plan alone. Both stand-ins say the same words, so that whatever differs is ours.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.live.asking import await_true
from tests.live.claude_cli import (
    BUNDLED,
    BUNDLED_VERSION,
    OLDER_VARIABLE,
    OLDER_VERSION,
    Ran,
    Session,
    Transcript,
    older_cli,
    transcript,
    version_of,
    without_thoughts,
)

SAYS = "The tide is coming in."
TOOLS = ("--allowedTools", "Bash")
FIRST = "use-tool:Bash:echo one > notes\nuse-tool:Bash:cat notes\nuse-tool:Bash:cat no-such-file"
SECOND = "use-tool:Bash:echo two >> notes\nuse-tool:Bash:cat notes"
ROUNDS = 4 + 3
WHOLE_NAME = "claude-sonnet-4-5-20250929"
ALIAS = "claude-sonnet-4-5"  # the older CLI sends no thoughts back of a model that is not named word for word as it asked
Alone = Callable[[Path, str], Transcript]
THOUGHTLESS = "plan:thinking stripped"
RESET_S = 2.0  # how long the Plan is used up
OLDER = pytest.mark.skipif(older_cli() is None, reason=f"no Claude Code {OLDER_VERSION}: {OLDER_VARIABLE} does not name it")
CLIS = pytest.mark.parametrize(
    "binary", [pytest.param(BUNDLED, id=BUNDLED_VERSION), pytest.param(older_cli(), id=OLDER_VERSION, marks=OLDER)]
)
MODELS = pytest.mark.parametrize("model", [WHOLE_NAME, "claude-opus-4-8", "claude-opus-5-5"])


@pytest.fixture(scope="module")
def anthropic_options() -> tuple[str, ...]:
    return ("--keep-bodies", "--text", SAYS)


@pytest.fixture(scope="module")
def bedrock_options() -> tuple[str, ...]:
    return ("--keep-bodies", "--text", SAYS)


@pytest.fixture(scope="module")
def alone(running: Any, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """`alone(cli, model)`: the transcript of the same session when nothing happens."""

    @cache
    def told(binary: Path, model: str) -> Transcript:
        developer = running.developer(bedrock="")
        session = Session(binary, tmp_path_factory.mktemp("alone"), developer.base_url, model)
        first, second = session.begin(FIRST, *TOOLS), session.go_on(SECOND, *TOOLS)
        assert upstreams_in_turn(running, developer) == ["plan"]
        spoken = transcript(first, second)
        assert [kind for kind, *_ in spoken].count("thinking") == ROUNDS, spoken
        return spoken

    return told


def test_the_bundled_cli_is_the_one_that_is_meant() -> None:
    assert version_of(BUNDLED) == BUNDLED_VERSION


@OLDER
def test_the_older_cli_is_the_one_that_is_meant() -> None:
    older = older_cli()
    assert older is not None
    assert version_of(older) == OLDER_VERSION


@CLIS
@MODELS
def test_a_session_goes_to_bedrock_and_back_and_reads_as_on_the_plan_alone(
    stack: Any, alone: Alone, tmp_path: Path, binary: Path, model: str
) -> None:
    developer = stack.developer()
    session = Session(binary, tmp_path, developer.base_url, model)
    stack.anthropic.fault("ok", times=1)
    stack.anthropic.fault("plan_exhausted", times=1, reset=RESET_S)
    first = session.begin(FIRST, *TOOLS)
    back_at = time.time() + RESET_S
    undisturbed = alone(binary, model)  # while the Plan is away for the other
    await_true(lambda: time.time() > back_at)
    second = session.go_on(SECOND, *TOOLS)
    assert_unnoticed(first, second)
    assert transcript(first, second) == undisturbed
    assert upstreams_in_turn(stack, developer) == ["plan", "bedrock", "plan"]
    assert thoughts_reached_the_other(stack) == (True, True)


@MODELS
def test_every_tool_result_may_go_to_the_other_upstream_and_a_plan_that_wants_no_foreign_thoughts_is_not_noticed(
    stack: Any, alone: Alone, tmp_path: Path, model: str
) -> None:
    developer = stack.developer()
    session = Session(BUNDLED, tmp_path, developer.base_url, model)
    stack.anthropic.fault("ok", times=1)
    stack.anthropic.fault("long_context", times=1)  # falls back, and leaves the circuit alone
    stack.anthropic.fault("strict_thinking", times=2)  # refused for its foreign thoughts, and asked once more without
    stack.anthropic.fault("long_context", times=1)
    stack.anthropic.fault("strict_thinking")
    first, second = session.begin(FIRST, *TOOLS), session.go_on(SECOND, *TOOLS)
    assert_unnoticed(first, second)
    assert without_thoughts(transcript(first, second)) == without_thoughts(alone(BUNDLED, model))
    assert upstreams_in_turn(stack, developer) == ["plan", "bedrock", "plan", "bedrock", "plan"]
    assert [THOUGHTLESS in line["trace"] for line in lines_of(stack, developer)] == [False, False, True, False, True, True, True]


@OLDER
def test_thoughts_that_the_cli_leaves_out_by_itself_do_not_keep_bedrock_from_serving(
    stack: Any, alone: Alone, tmp_path: Path
) -> None:
    developer, binary = stack.developer(), older_cli() or BUNDLED
    session = Session(binary, tmp_path, developer.base_url, ALIAS)
    stack.anthropic.fault("ok", times=1)
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    first, second = session.begin(FIRST, *TOOLS), session.go_on(SECOND, *TOOLS)
    assert_unnoticed(first, second)
    assert without_thoughts(transcript(first, second)) == without_thoughts(alone(binary, WHOLE_NAME))
    assert upstreams_in_turn(stack, developer) == ["plan", "bedrock"]
    assert list(signatures(stack.bedrock_posts())) == []


def assert_unnoticed(*turns: Ran) -> None:
    for turn in turns:
        assert (turn.exit_code, turn.stderr) == (0, ""), turn
        assert (turn.result["subtype"], turn.result["is_error"]) == ("success", False), turn
        assert "API Error" not in turn.stdout
        assert "api_retry" not in turn.stdout


def lines_of(stack: Any, developer: Any) -> list[dict[str, Any]]:
    """The log lines of a developer's messages, in order."""
    contexts = (line["context"] for line in stack.product.access_lines())
    return [each for each in contexts if each["user_id"] == developer.user_id and each["endpoint"] == "messages"]


def upstreams_in_turn(stack: Any, developer: Any) -> list[str]:
    """Who served one session, neighbours taken together; every round of it was served, and at the first try."""
    await_true(lambda: len(lines_of(stack, developer)) >= ROUNDS)
    lines = lines_of(stack, developer)
    assert [line["status"] for line in lines] == [200] * ROUNDS
    assert len({line["session_id"] for line in lines}) == 1
    return [provider for provider, _ in groupby(line["provider"] for line in lines)]


def thoughts_reached_the_other(stack: Any) -> tuple[bool, bool]:
    """Whether Bedrock was given a thought of the Plan's, and the Plan one of Bedrock's."""
    to_bedrock, to_plan = signatures(stack.bedrock_posts()), signatures(stack.plan_posts())
    return any(each.startswith("anthropic-") for each in to_bedrock), any(each.startswith("bedrock-") for each in to_plan)


def signatures(posts: list[dict[str, Any]]) -> Iterator[str]:
    for post in posts:
        for message in json.loads(post["body"]).get("messages", []):
            blocks = message["content"] if isinstance(message["content"], list) else []
            yield from (str(block["signature"]) for block in blocks if block["type"] == "thinking")
