"""What a spreadsheet gets: whole, and never a formula."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_app.exports import as_csv


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", " =", "  @"])
def test_a_cell_that_begins_as_a_formula_is_made_text(first: str) -> None:
    evil = f'{first}HYPERLINK("http://evil.example")'

    assert cells(as_csv([{"name": evil}], ["name"])) == [["name"], [f"'{evil}"]]


@pytest.mark.parametrize("kept", ["ann", "a=b", "1+1", "ann@example.com", "", "'quoted", 'say "x", twice', "two\nlines"])
def test_every_other_cell_is_as_it_was(kept: str) -> None:
    assert cells(as_csv([{"name": kept}], ["name"])) == [["name"], [kept]]


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_no_text_becomes_a_formula_or_breaks_out_of_its_cell(names: list[str]) -> None:
    rows: list[dict[str, Any]] = [{"name": name, "note": name} for name in names]
    _, *read = cells(as_csv(rows, ["name", "note"]))

    assert [row[0].removeprefix("'") for row in read] == [name.removeprefix("'") for name in names]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for row in read for cell in row)


def test_what_is_absent_is_empty_and_columns_keep_their_order() -> None:
    text = as_csv([{"b": 1, "a": None}], ["a", "b"])

    assert text == '"a","b"\r\n"","1"'
