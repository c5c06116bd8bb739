"""Each planted mistake is caught, by the rule or the linter of its row: a contract that catches nothing proves nothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.ecs.contract import RULES, violations
from tests.ecs.faults import CFN_LINT, CHECKOV, MORE, PLANTED, Fault
from tests.ecs.linting import cfn_lint, checkov, written
from tests.ecs.stacks import Stacks, Templates, load_templates

BY_RULE = [fault for fault in (*PLANTED, *MORE) if fault.rule]
BY_CFN_LINT = [(fault, check) for fault in PLANTED for linter, check in fault.linters if linter == CFN_LINT]
BY_CHECKOV = [(fault, check) for fault in PLANTED for linter, check in fault.linters if linter == CHECKOV]


def planted(fault: Fault) -> Templates:
    templates = load_templates()
    fault.plant(templates)
    return templates


def test_there_are_26_planted_faults_and_each_is_caught_by_something() -> None:
    assert len(PLANTED) == 26
    assert [fault.name for fault in PLANTED if not fault.rule and not fault.linters] == []
    assert Counter(fault.name for fault in (*PLANTED, *MORE)).most_common(1)[0][1] == 1


@pytest.mark.parametrize("fault", BY_RULE, ids=lambda fault: fault.name)
def test_the_contract_catches(fault: Fault) -> None:
    assert fault.rule in RULES
    assert violations(fault.rule, Stacks(planted(fault))) != []


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Name of a fault -> what cfn-lint finds in its template. One run for all: cfn-lint takes longer to start than to look."""
    folder = tmp_path_factory.mktemp("faults")
    files = {fault.name: folder / f"{number}.json" for number, (fault, _) in enumerate(BY_CFN_LINT)}
    for fault, _ in BY_CFN_LINT:
        files[fault.name].write_text(json.dumps(planted(fault)[fault.stack]))
    findings = [finding.split(":")[0].split() for finding in cfn_lint(*files.values())]
    return {name: {check for check, file in findings if file == path.name} for name, path in files.items()}


@pytest.mark.parametrize(("fault", "check"), BY_CFN_LINT, ids=lambda value: getattr(value, "name", value))
def test_cfn_lint_catches(fault: Fault, check: str, linted: dict[str, set[str]]) -> None:
    assert check in linted[fault.name]


@pytest.mark.parametrize(("fault", "check"), BY_CHECKOV, ids=lambda value: getattr(value, "name", value))
def test_checkov_catches(fault: Fault, check: str, tmp_path: Path) -> None:
    written(planted(fault), tmp_path)
    assert check in {found for found, _ in checkov(tmp_path)}
