"""Every `aws` command of the runbook and of deploy.sh exists, with every option: compared with the models that boto3 is made of.

The command line's words are those of the API: `modify-db-cluster --new-db-cluster-identifier` is ModifyDBCluster with
NewDBClusterIdentifier. What aws adds itself stands in `OWN`.
"""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from tests.ecs.operators_desk import FAMILY, PLACEHOLDERS, Desk
from tests.ecs.stacks import FOLDER

GLOBAL = {"output", "query", "region", "profile"}
# Commands that are no single call of the API, as in the AWS CLI's reference (read 2026-11-27).
OWN: dict[tuple[str, str], set[str]] = {
    ("cloudformation", "deploy"): {
        *("stack-name", "template-file", "no-fail-on-empty-changeset", "capabilities", "tags", "parameter-overrides"),
    },
    ("ecr", "get-login-password"): set(),
    ("ecs", "execute-command"): {"cluster", "task", "container", "interactive", "command"},
}


@cache
def model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def problems(words: list[str]) -> list[str]:
    """What is wrong with `aws SERVICE COMMAND --option ...`."""
    service, command, rest = words[0], words[1], words[2:]
    options = {word[2:].partition("=")[0] for word in rest if word.startswith("--")} - GLOBAL
    if (service, command) in OWN:
        return sorted(options - OWN[service, command])
    if command == "wait":
        waiters = botocore.session.get_session().get_waiter_model(service)
        waits = {xform_name(name, "-"): waiters.get_waiter(name).operation for name in waiters.waiter_names}
        if rest[0] not in waits:
            return [f"wait {rest[0]}"]
        operation = waits[rest[0]]
    else:
        operation = {xform_name(name, "-"): name for name in model(service).operation_names}.get(command, "")
    return [command] if not operation else unknown(service, operation, options)


def unknown(service: str, operation: str, options: set[str]) -> list[str]:
    """Switches are members of type boolean, also as `--no-...`."""
    members = model(service).operation_model(operation).input_shape.members
    known = {xform_name(name, "-"): shape.type_name for name, shape in members.items()}
    known |= {f"no-{name}": kind for name, kind in known.items() if kind == "boolean"}
    required = {xform_name(name, "-") for name in model(service).operation_model(operation).input_shape.required_members}
    return sorted(options - known.keys()) + sorted(f"{name} is missing" for name in required - options)


def of_the_runbook() -> list[str]:
    text = re.sub(r" ?\\\n\s*", " ", (FOLDER / "README.md").read_text())
    blocks = re.findall(r"^ {4,}(.*aws [a-z].*)$", text, re.MULTILINE)
    spans = [
        span for line in text.splitlines() if not line.startswith("    ") for span in re.findall(r"`(aws [a-z][^`]+)`", line)
    ]
    inner = [found for line in blocks for found in re.findall(r"\$\((aws [^)]*)\)", line)]
    whole = [re.sub(r"\$\(aws [^)]*\)", "VALUE", line) for line in blocks]
    return [line[line.index("aws ") :].split(" | ")[0] for line in [*whole, *inner, *spans] if "aws " in line]


@pytest.mark.parametrize("line", of_the_runbook())
def test_a_command_of_the_runbook_exists_with_its_options(line: str) -> None:
    words = shlex.split(line.partition(" && ")[0])[1:]
    partial = "..." in line and "restore-db-cluster-from-snapshot" in line  # "the rest the same"
    assert [problem for problem in problems(words) if not (partial and problem.endswith("is missing"))] == []


def test_the_runbook_has_the_commands_that_were_meant() -> None:
    found = {" ".join(line.split()[1:3]) for line in of_the_runbook()}
    assert {"rds modify-db-instance", "rds create-db-instance", "ecr get-login-password", "rds wait", "kms enable-key"} <= found


@pytest.mark.parametrize("command", ["base", "admin-password", "deploy", "rollback", "restart", "desk"])
def test_commands_of_the_script_exist_with_their_options(desk: Desk, command: str) -> None:
    known = {"if": ["list-task"], "say": f"{FAMILY}:8\t{FAMILY}:7"}
    desk.answers(known, {"if": ["describe-services"], "say": f"{FAMILY}:8"}, *PLACEHOLDERS)
    finished = desk.run(command, typed="correct horse battery staple\n")
    assert finished.returncode == 0, finished.stderr
    assert desk.calls and [problem for call in desk.calls for problem in problems(call)] == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("rds modify-db-clusters --db-cluster-identifier a", "modify-db-clusters"),
        ("rds modify-db-cluster --db-cluster-identifier a --new-identifier b", "new-identifier"),
        ("ecs wait tasks-ended --cluster a --tasks b", "wait tasks-ended"),
        ("ecs stop-task --cluster a", "task is missing"),
    ],
)
def test_a_mistake_would_be_seen(line: str, problem: str) -> None:
    assert problems(line.split()) == [problem]
