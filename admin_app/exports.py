"""Tables of text for people, and for spreadsheets (CSV).

Pure. Invariant: no cell of a CSV is a formula to a spreadsheet, whatever a user is called: a cell that begins as one is
written with an apostrophe before it (OWASP, "CSV injection").
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from core.threads import paced

Row = dict[str, Any]

_NUMBER = re.compile(r"-|[+-]?[0-9][0-9,]*(\.[0-9]+)?")
_AT_A_TIME = 20  # rows: about half a millisecond
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def as_table(rows: Sequence[Row], if_empty: str) -> str:
    """Columns side by side; what is absent is a dash, and numbers stand below each other."""
    if not rows:
        return if_empty
    lines = [list(rows[0])] + [["-" if value in (None, "") else str(value) for value in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    sides = [_side([line[column] for line in lines[1:]]) for column in range(len(widths))]
    formed = ("  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in formed)


def _side(cells: Sequence[str]) -> str:
    return ">" if any(cell != "-" for cell in cells) and all(_NUMBER.fullmatch(cell) for cell in cells) else "<"


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """RFC 4180 with a heading, every cell quoted, no line end behind the last row."""
    return "\r\n".join([csv_heading(columns), *filter(None, [csv_rows(rows, columns)])])


def csv_heading(columns: Sequence[str]) -> str:
    """The first line of `as_csv`."""
    return _lines([columns])


def csv_rows(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """As `as_csv`, without the heading; empty without rows."""
    return _lines([[plain_cell(row[column]) for column in columns] for row in rows])


def csv_stream(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[bytes]:
    """As `as_csv` with a line end behind the last row, in pieces, with a rest where they take long."""
    yield f"{csv_heading(columns)}\r\n".encode()
    pending = iter(rows)
    for some in paced(iter(lambda: list(islice(pending, _AT_A_TIME)), [])):
        yield f"{csv_rows(some, columns)}\r\n".encode()


def _lines(lines: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(lines)
    return written.getvalue().removesuffix("\r\n")


def plain_cell(value: Any) -> str:
    """What a spreadsheet shows as it is."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
