"""deploy.sh: what it would do, what it does, and that both are the same. `aws` is a stand-in that notes what it is asked."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.crypto import check_password
from tests.ecs.stacks import FOLDER, ORDER, Stacks, load_templates

SCRIPT = FOLDER / "deploy.sh"
CONFIG = """
IMAGE=registry.example.com/claude-code-proxy:1.2.3
HOST_NAME=proxy.example.com
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
            command, cwd=self.folder, env=environment, input=typed, capture_output=True, text=True, timeout=60, check=False
        )

    @property
    def calls(self) -> list[list[str]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def stacks(self) -> list[str]:
        return [option(call, "--stack-name") for call in self.calls if call[:2] == ["cloudformation", "deploy"]]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "aws").write_text(f"#!{sys.executable} -IS\n" + Path(__file__).with_name("fake_aws.py").read_text())
    (tmp_path / "aws").chmod(0o755)
    (tmp_path / "config.env").write_text(CONFIG)
    made = Desk(tmp_path)
    made.answers(*PLACEHOLDERS)
    return made


def shown(stack: str, name: str) -> dict[str, Any]:
    return {"if": ["describe-stacks", f"claude-code-proxy-{stack}", f"'{name}'"], "say": f"<{stack}.{name}>"}


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


def test_a_dry_run_asks_aws_nothing(desk: Desk) -> None:
    finished = desk.run("--dry-run", "deploy")
    assert finished.returncode == 0, finished.stderr
    assert desk.calls == []
    assert len(printed(finished.stdout)) > 10


@pytest.mark.parametrize("command", ["base", "deploy", "rollback", "restart"])
def test_what_a_dry_run_prints_is_what_a_real_run_does(desk: Desk, command: str) -> None:
    desk.answers(
        *PLACEHOLDERS,
        {"if": ["list-task"], "say": f"{FAMILY}:8\t<running>\t<the one before it>"},
        {"if": ["describe-services"], "say": "<running>"},
    )
    would = printed(desk.run("--dry-run", command).stdout)
    finished = desk.run(command)
    assert finished.returncode == 0, finished.stderr
    assert desk.calls == would


def test_stacks_are_deployed_in_order_and_the_database_is_migrated_before_the_service_rolls(desk: Desk) -> None:
    assert desk.run("deploy").returncode == 0
    assert desk.stacks == [f"claude-code-proxy-{stack}" for stack in ORDER]
    verbs = [call[1] if call[1] != "deploy" else option(call, "--stack-name") for call in desk.calls]
    order = ["claude-code-proxy-tasks", "run-task", "wait", "describe-tasks", "claude-code-proxy-service"]
    assert [verbs.index(verb) for verb in order] == sorted(verbs.index(verb) for verb in order)


def test_the_service_gets_the_revision_that_was_migrated_for(desk: Desk) -> None:
    desk.run("deploy")
    (service,) = [call for call in desk.calls if call[:2] == ["cloudformation", "deploy"] and "claude-code-proxy-service" in call]
    assert parameters(service)["TaskDefinition"] == "<tasks.ProxyTask>"


@pytest.mark.parametrize("status", ["1", "None", ""])
def test_a_migration_that_fails_leaves_the_service_alone(desk: Desk, status: str) -> None:
    desk.answers({"if": ["describe-tasks"], "say": status}, *PLACEHOLDERS)
    finished = desk.run("deploy")
    assert finished.returncode == 1
    assert "the migration failed" in finished.stderr
    assert "claude-code-proxy-service" not in desk.stacks


def test_a_migration_that_does_not_start_leaves_the_service_alone(desk: Desk) -> None:
    desk.answers({"if": ["run-task"], "say": "None"}, *PLACEHOLDERS)
    assert desk.run("deploy").returncode == 1
    assert "claude-code-proxy-service" not in desk.stacks


def test_a_stack_that_fails_ends_the_deployment(desk: Desk) -> None:
    desk.answers({"if": ["deploy", "claude-code-proxy-data"], "exit": 255}, *PLACEHOLDERS)
    assert desk.run("deploy").returncode != 0
    assert desk.stacks == ["claude-code-proxy-network", "claude-code-proxy-data"]


def test_the_number_of_tasks_is_set_at_the_first_deployment_alone(desk: Desk) -> None:
    desk.run("deploy")
    desk.answers({"if": ["describe-stacks", "claude-code-proxy-service"], "exit": 254}, *PLACEHOLDERS)
    desk.run("rollback", f"{FAMILY}:1")
    services = [call for call in desk.calls if call[:2] == ["cloudformation", "deploy"] and "claude-code-proxy-service" in call]
    assert [parameters(call)["FirstDeployment"] for call in services] == ["no", "yes"]


def test_a_rollback_takes_the_revision_before_the_running_one(desk: Desk) -> None:
    known = "\t".join(f"{FAMILY}:{number}" for number in (9, 8, 7, 5))
    desk.answers({"if": ["list-task"], "say": known}, {"if": ["describe-services"], "say": f"{FAMILY}:8"}, *PLACEHOLDERS)
    assert desk.run("rollback").returncode == 0
    assert parameters(desk.calls[-1])["TaskDefinition"] == f"{FAMILY}:7"


def test_a_rollback_without_an_older_revision_says_so(desk: Desk) -> None:
    desk.answers({"if": ["list-task"], "say": f"{FAMILY}:8"}, {"if": ["describe-services"], "say": f"{FAMILY}:8"}, *PLACEHOLDERS)
    finished = desk.run("rollback")
    assert (finished.returncode, desk.stacks) == (1, [])
    assert "there is no revision before" in finished.stderr


def test_a_missing_setting_is_named_before_anything_is_done(desk: Desk) -> None:
    (desk.folder / "config.env").write_text(CONFIG.replace("CERTIFICATE_ARN", "OTHER"))
    finished = desk.run("deploy")
    assert (finished.returncode, desk.calls) == (1, [])
    assert "CERTIFICATE_ARN" in finished.stderr


def test_the_password_is_stored_as_a_hash_that_no_argument_shows(desk: Desk) -> None:
    keeper = desk.folder / "aws"
    keeper.write_text(keeper.read_text().replace("    for answer in", f"    {KEEP_SECRET}\n    for answer in"))
    finished = desk.run("admin-password", typed="correct horse battery staple\n")
    assert finished.returncode == 0, finished.stderr
    stored = (desk.folder / "secret").read_text()
    assert check_password("correct horse battery staple", stored)
    assert stored not in (desk.folder / "calls.jsonl").read_text() + finished.stdout + finished.stderr
    assert option(desk.calls[-1], "--secret-id") == "<data.AdminPasswordHash>"


KEEP_SECRET = "[(HERE / 'secret').write_text(Path(a[7:]).read_text()) for a in arguments if a.startswith('file://')]"


def test_the_hash_is_left_in_no_file(desk: Desk) -> None:
    desk.run("admin-password", typed="correct horse battery staple\n")
    file = option(desk.calls[-1], "--secret-string").removeprefix("file://")
    assert file.startswith("/")
    assert not Path(file).exists()


def test_a_short_password_is_refused(desk: Desk) -> None:
    assert desk.run("admin-password", typed="short\n").returncode == 1
    assert [call for call in desk.calls if "put-secret-value" in call] == []


def test_every_parameter_that_the_script_gives_exists_and_fits(desk: Desk) -> None:
    desk.run("deploy")
    templates = load_templates()
    for call in (call for call in desk.calls if call[:2] == ["cloudformation", "deploy"]):
        declared = templates[option(call, "--stack-name").removeprefix("claude-code-proxy-")]["Parameters"]
        given = parameters(call)
        assert given.keys() <= declared.keys()
        assert [name for name, spec in declared.items() if "Default" not in spec and name not in given] == []
        assert [name for name, value in given.items() if value[:1] != "<" and not fits(value, declared[name])] == []


def fits(value: str, declared: dict[str, Any]) -> bool:
    allowed = declared.get("AllowedValues", [value])
    return value in map(str, allowed) and re.fullmatch(declared.get("AllowedPattern", ".*"), value) is not None


def test_the_scripts_defaults_are_the_templates_and_the_examples(desk: Desk) -> None:
    desk.run("deploy")
    templates = load_templates()
    given = {
        (option(call, "--stack-name").removeprefix("claude-code-proxy-"), name): value
        for call in desk.calls
        if call[:2] == ["cloudformation", "deploy"]
        for name, value in parameters(call).items()
    }
    defaults = {key: str(templates[key[0]]["Parameters"][key[1]].get("Default")) for key in given}
    chosen = ("Image", "HostName", "CertificateArn", "AdminAllowedCidrs", "TaskDefinition", "FirstDeployment")
    assert [(key, given[key]) for key in given if key[1] not in chosen and given[key] != defaults[key]] == []
    example = dict(re.findall(r"^(\w+)=(\S*)", (FOLDER / "production.env.example").read_text(), re.MULTILINE))
    fallbacks = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", SCRIPT.read_text()))
    assert {name: value for name, value in example.items() if value} == {
        name: value for name, value in fallbacks.items() if name not in ("CONFIG", "PYTHON") and value
    }


def test_everything_that_the_script_reads_from_stacks_is_an_output(desk: Desk) -> None:
    stacks = Stacks()
    read = re.findall(r"output (\w+) (\w+)", SCRIPT.read_text())
    assert len(read) >= 7
    assert [pair for pair in read if not stacks.output(*pair)] == []


def test_the_script_can_be_run_and_explains_itself(desk: Desk) -> None:
    assert SCRIPT.stat().st_mode & stat.S_IXUSR
    finished = desk.run("help")
    assert finished.returncode == 0
    assert all(
        word in finished.stdout for word in ("base", "admin-password", "deploy", "rollback", "restart", "desk", "--dry-run")
    )
    assert desk.run("deplyo").returncode == 2
