"""axe-core in a page: what it calls a serious or a critical violation of accessibility.

`AXE_CORE` names its file, `axe.min.js` of the npm package `axe-core`; without it what needs it is skipped by name.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

_RUN = """async (rules) => {
  const only = rules.length ? {runOnly: {type: "rule", values: rules}} : {};
  const found = await axe.run(document, {resultTypes: ["violations"], preload: false, ...only});
  return found.violations.filter((each) => ["serious", "critical"].includes(each.impact)).map((each) =>
    `${each.id} (${each.impact}): ` + each.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join(" | "));
}"""


class Axe:
    def __init__(self, source: str) -> None:
        self._source = source

    def violations(self, page: Page, *rules: str) -> list[str]:
        """By all rules unless some are named."""
        if not page.evaluate("() => 'axe' in window"):
            page.evaluate(self._source)
        found: list[str] = page.evaluate(_RUN, list(rules))
        return found


@pytest.fixture(scope="session")
def axe() -> Axe:
    path = os.environ.get("AXE_CORE", "")
    if not path or not Path(path).is_file():
        pytest.skip("AXE_CORE does not name the axe.min.js of npm's axe-core")
    return Axe(Path(path).read_text())
