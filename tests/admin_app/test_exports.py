"""What a spreadsheet gets: whole, and never a formula."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_app.exports import as_csv, as_table
from admin_app.listings import dollars


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


def test_numbers_stand_below_each_other_and_words_begin_together() -> None:
    rows = [
        {"name": "a", "usd": "5.00", "id": "7x"},
        {"name": "b-c", "usd": "12.50", "id": "12y"},
        {"name": "d", "usd": None, "id": ""},
    ]

    assert as_table(rows, "").splitlines() == [
        "name    usd  id",
        "a      5.00  7x",
        "b-c   12.50  12y",
        "d         -  -",
    ]


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("5", "5.00"),
        ("8.0", "8.00"),
        ("0.4", "0.40"),
        ("1E+3", "1000.00"),
        ("0.3750", "0.375"),
        ("0.000001", "0.000001"),
        (None, None),
    ],
)
def test_dollars_have_one_form_in_a_column_and_lose_nothing(amount: str | None, shown: str | None) -> None:
    assert dollars(amount) == shown
