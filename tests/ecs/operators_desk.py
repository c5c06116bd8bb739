"""An operator who runs deploy.sh: a folder with a stand-in for `aws` first on PATH, and what it was asked.

Knows the script's surroundings and nothing of what it should do. Invariant: no `aws` of this machine is ever reached.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ecs.stacks import FOLDER, load_templates

SCRIPT = FOLDER / "deploy.sh"
CONFIG = """
IMAGE=111122223333.dkr.ecr.eu-central-1.amazonaws.com/claude-code-proxy:1.2.3
HOST_NAME=proxy.example.com
AWS_REGION=eu-central-1
CERTIFICATE_ARN=arn:aws:acm:eu-central-1:111122223333:certificate/0b1c
ADMIN_ALLOWED_CIDRS=192.0.2.0/24,198.51.100.7/32
"""
FAMILY = "arn:aws:ecs:eu-central-1:111122223333:task-definition/claude-code-proxy"


@dataclass
class Desk:
    """A folder with the stand-in first on PATH."""

    folder: Path

    def answers(self, *answers: dict[str, Any]) -> None:
        (self.folder / "answers.json").write_text(json.dumps(answers))

    def run(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}",
            "CONFIG": str(self.folder / "config.env"),
            "PYTHON": sys.executable,
            "HOME": str(self.folder),
        }
        command = ["bash", str(SCRIPT), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, input=typed, capture_output=True, text=True, timeout=180, check=False
        )

    @property
    def calls(self) -> list[list[str]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def stacks(self) -> list[str]:
        return [option(call, "--stack-name") for call in self.calls if call[:2] == ["cloudformation", "deploy"]]


def shown(stack: str, name: str) -> dict[str, Any]:
    return {"if": ["describe-stacks", f"claude-code-proxy-{stack}", f"'{name}'"], "say": f"<{stack}.{name}>"}


NO_STACK = {"say": "An error occurred (ValidationError): Stack with id claude-code-proxy-x does not exist", "exit": 254}
# What a dry run shows in the place of AWS's answers.
PLACEHOLDERS = [
    *(shown(stack, name) for stack, template in load_templates().items() for name in template["Outputs"]),
    {"if": ["run-task"], "say": "<task>"},
    {"if": ["describe-tasks"], "say": "0"},
]


def option(call: list[str], name: str) -> str:
    return call[call.index(name) + 1]


def parameters(call: list[str]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in call[call.index("--parameter-overrides") + 1 :])


def printed(text: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("aws ")]
