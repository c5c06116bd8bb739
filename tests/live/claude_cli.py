"""The real Claude Code CLI as a process of its own, and what it said, in a form that two runs can be compared in.

Knows the command line and the lines of `--output-format stream-json`; refuses to know upstreams and the proxy.
Invariant: nothing of the machine reaches the CLI but PATH; a transcript holds everything the model and the tools said, and
nothing that differs between two runs of the same conversation.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

BUNDLED = Path(str(distribution("claude-agent-sdk").locate_file("claude_agent_sdk/_bundled/claude")))  # importing it takes 2 s
BUNDLED_VERSION, OLDER_VERSION = "2.1.330", "2.1.197"
OLDER_VARIABLE = "CLAUDE_CODE_OLDER"  # the path of the older CLI; `.ci/run` installs it and sets this
OAUTH_TOKEN = "sk-ant-oat01-sandbox"
LONGEST_RUN_S = 120
_TOKENS_LEFT = re.compile(r"(?<=<total_tokens>)\d+")

Transcript = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Ran:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of `--output-format stream-json`."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def result(self) -> dict[str, Any]:
        """The last line, which sums the turn up."""
        return next(event for event in reversed(self.events) if event["type"] == "result")


def older_cli() -> Path | None:
    """None where nobody has installed it."""
    path = os.environ.get(OLDER_VARIABLE)
    return Path(path) if path else None


def version_of(binary: Path) -> str:
    told = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=LONGEST_RUN_S, check=True)
    return told.stdout.split()[0]


def run_cli(
    home: Path, base_url: str, arguments: Sequence[str], environment: dict[str, str], binary: Path = BUNDLED, oauth: bool = False
) -> Ran:
    """One run in `home`/work, with nothing typed in."""
    done = subprocess.run(
        [str(binary), *arguments],
        cwd=work_in(home),
        env={**scrubbed(home, base_url, oauth), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def work_in(home: Path) -> Path:
    work = home / "work"
    work.mkdir(parents=True, exist_ok=True)
    return work


def scrubbed(home: Path, base_url: str, oauth: bool) -> dict[str, str]:
    credential = {"CLAUDE_CODE_OAUTH_TOKEN": OAUTH_TOKEN} if oauth else {"ANTHROPIC_API_KEY": "sk-ant-sandbox"}
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "ANTHROPIC_BASE_URL": base_url,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        **credential,
    }


@dataclass(frozen=True)
class Session:
    """One conversation of a developer with a plan's login, turn by turn, each turn a process."""

    binary: Path
    home: Path
    base_url: str
    model: str

    def begin(self, prompt: str, *options: str, **environment: str) -> Ran:
        told = ("--model", self.model, "--output-format", "stream-json", "--verbose", *options)
        return run_cli(self.home, self.base_url, ("-p", prompt, *told), environment, self.binary, oauth=True)

    def go_on(self, prompt: str, *options: str, **environment: str) -> Ran:
        return self.begin(prompt, "--continue", *options, **environment)


def transcript(*turns: Ran) -> Transcript:
    """Everything that was thought, said, called and answered, in order, and how each turn ended.

    Ids become the order of their appearance; signatures, times, costs and counts of tokens are not part of it.
    """
    names: dict[str, int] = {}

    def ordinal(identifier: str) -> int:
        return names.setdefault(identifier, len(names))

    return [entry for turn in turns for event in turn.events for entry in _entries(event, ordinal)]


def without_thoughts(told: Transcript) -> Transcript:
    return [entry for entry in told if entry[0] != "thinking"]


def _entries(event: dict[str, Any], ordinal: Callable[[str], int]) -> Iterator[tuple[Any, ...]]:
    if event["type"] in ("assistant", "user"):
        content = event["message"]["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            yield _entry(block, ordinal)
    elif event["type"] == "result":
        ending = [event.get(key) for key in ("subtype", "is_error", "num_turns", "stop_reason", "permission_denials")]
        yield ("result", *ending, _plain(event.get("result")))


def _entry(block: dict[str, Any], ordinal: Callable[[str], int]) -> tuple[Any, ...]:
    kind = block["type"]
    if kind == "thinking":
        return kind, block["thinking"]
    if kind == "text":
        return kind, _plain(block["text"])
    if kind == "tool_use":
        return kind, ordinal(block["id"]), block["name"], block["input"]
    return kind, ordinal(block["tool_use_id"]), block.get("is_error"), _plain(block["content"])


def _plain(content: Any) -> Any:
    """A count of tokens that the CLI tells the model is the upstream's, and this one differs from request to request."""
    return _TOKENS_LEFT.sub("N", content) if isinstance(content, str) else content
