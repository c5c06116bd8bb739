"""What is generated for a test is the same in every run, whatever ran before it in this process."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st


def generated() -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []

    @hypothesis.seed(0)
    @hypothesis.settings(max_examples=200, deadline=None, database=None)
    @given(st.text(), st.integers())
    def take(text: str, number: int) -> None:
        found.append((text, number))

    take()
    return found


def test_a_module_that_was_imported_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = generated()
    (tmp_path / "imported_meanwhile.py").write_text("NUMBERS = [7_777_777, 8_888_888]\nWORDS = ['quokka', 'wombat']\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("imported_meanwhile")

    assert generated() == before
