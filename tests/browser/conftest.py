"""A real Chromium before the really running product, with strict stand-ins for both upstreams.

One browser and one furnished product for the whole folder (for each pytest process); a test's visitor fails it when anything
happened in the browser that must not. Without Chromium all of it is skipped by name; `REQUIRE_ALL=1` makes that a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser

from sandbox.client import Sandbox
from tests.browser.axe import axe as axe
from tests.browser.chromium import Visitor, visiting
from tests.browser.town import Town, open_town

Visit = Callable[..., Visitor]


@pytest.fixture(scope="session")
def upstreams() -> Iterator[tuple[Sandbox, Sandbox]]:
    with Sandbox("anthropic", ("--keep-bodies",)) as anthropic, Sandbox("bedrock", ("--keep-bodies",)) as bedrock:
        yield anthropic, bedrock


@pytest.fixture(scope="session")
def town(upstreams: tuple[Sandbox, Sandbox]) -> Iterator[Town]:
    """Furnished. After the last test of this process everything it wrote is searched for secrets."""
    with open_town(*upstreams) as opened:
        opened.furnish()
        yield opened
        assert opened.leaks() == []


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """`visit(base, **context options)`: a visitor; a test with problems in any of its browsers fails."""
    visitors: list[Visitor] = []
    with ExitStack() as stack:

        def enter(base: str, **options: Any) -> Visitor:
            visitors.append(stack.enter_context(visiting(chromium, base, **options)))
            return visitors[-1]

        yield enter
        problems = [problem for visitor in visitors for problem in visitor.problems]
    assert problems == []


@pytest.fixture
def owner(visit: Visit, town: Town) -> Visitor:
    """Signed in as the owner of the furnished town."""
    visitor = visit(town.url)
    town.enter(visitor)
    return visitor
