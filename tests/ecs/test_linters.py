"""cfn-lint, checkov, shellcheck and hadolint find nothing but what was looked at and left, each with its reason."""

from __future__ import annotations

import re

import pytest

from tests.ecs.linting import cfn_lint, checkov, run
from tests.ecs.stacks import FOLDER, ORDER

SKIPS = FOLDER / "checkov.yml"
# check -> the one resource that it may find; why stands in the file.
REVIEWED = {
    "CKV_AWS_65": "Cluster",
    "CKV_AWS_91": "LoadBalancer",
    "CKV_AWS_162": "Database",
    "CKV_AWS_260": "LoadBalancerGroup",
}


def test_cfn_lint_has_no_error_and_no_warning() -> None:
    assert cfn_lint(*(FOLDER / f"{name}.yaml" for name in ORDER)) == []


def test_checkov_finds_only_what_was_reviewed() -> None:
    assert dict(checkov(FOLDER)) == REVIEWED


def test_checkov_finds_nothing_with_the_reviewed_skips() -> None:
    assert run("checkov", "--config-file", str(SKIPS)).returncode == 0


def test_every_skip_has_its_reason() -> None:
    rows = re.findall(r"^  - (CKV\w+)  # (.+)$", SKIPS.read_text(), re.MULTILINE)
    assert {check for check, _ in rows} == REVIEWED.keys()
    assert [check for check, reason in rows if len(reason) < 30] == []


@pytest.mark.parametrize("script", ["ecs/deploy.sh", ".ci/run"])
def test_shellcheck_has_nothing_to_say(script: str) -> None:
    assert run("shellcheck", "--severity=style", script).stdout == ""


def test_hadolint_has_nothing_to_say() -> None:
    assert run("hadolint", "Dockerfile").stdout == ""
