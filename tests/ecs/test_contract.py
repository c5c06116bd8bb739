"""The templates say what was decided: each rule is one sentence about all five stacks together."""

from __future__ import annotations

import pytest

from tests.ecs.contract import RULES, violations
from tests.ecs.stacks import Stacks


@pytest.fixture(scope="module")
def stacks() -> Stacks:
    return Stacks()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_templates_keep_the_rule(rule: str, stacks: Stacks) -> None:
    assert violations(rule, stacks) == []
