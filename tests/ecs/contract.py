"""All rules by name, and what of the templates breaks one. Where a template is too broken to be read, that breaks it, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import isfunction

from core.settings import BadSettings
from tests.ecs import rules_data, rules_network, rules_service, rules_settings, rules_tasks, rules_watch
from tests.ecs.stacks import Stacks, Unresolved

Rule = Callable[[Stacks], Iterator[str]]

RULES: dict[str, Rule] = {
    name: rule
    for module in (rules_network, rules_data, rules_tasks, rules_settings, rules_service, rules_watch)
    for name, rule in vars(module).items()
    if isfunction(rule) and rule.__module__ == module.__name__ and not name.startswith("_")
}


def violations(rule: str, stacks: Stacks) -> list[str]:
    try:
        return list(RULES[rule](stacks))
    except (Unresolved, BadSettings, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return [f"{type(error).__name__}: {error}"]
