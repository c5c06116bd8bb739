"""As much of CloudWatch Logs Insights as our saved queries use: fields, filter, stats, sort, limit.

Written from the query syntax in the CloudWatch Logs user guide; a command, function or operator that is not here is an error, so
that a query cannot say more than was tried. Runs over the log lines of a product, each flattened as Insights does it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "ecs" / "queries"
_TOKEN = re.compile(r'\s*(?:("[^"]*")|(\d+(?:\.\d+)?)|([A-Za-z_@][\w@.]*)|(>=|<=|!=|[=<>()*/,+-]))')
_WORDS = {"and", "or", "not"}
_FUNCTIONS = {"count", "sum", "max", "min", "pct", "ispresent"}
Row = dict[str, Any]


class Absent:
    """A field that a line does not have: no comparison with it is true."""

    def _no(self, _: object) -> bool:
        return False

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = _no
    __hash__ = None  # type: ignore[assignment]


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.logs-insights"))


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.logs-insights").read_text()


def run(query: str, lines: list[Row]) -> list[Row]:
    rows = [dict(_flat("", line)) for line in lines]
    for command in _commands(query):
        word, _, rest = command.partition(" ")
        rows = _COMMANDS[word](rest, rows)
    return rows


def fields_of(query: str) -> set[str]:
    """Every field of a log line that a query names."""
    made = set(re.findall(r"\bas (\w+)", query))
    found = {token[2] for command in _commands(query) for token in _TOKEN.findall(command) if token[2]}
    return found - made - _WORDS - _FUNCTIONS - set(_COMMANDS) - {"as", "by", "asc", "desc"}


def _commands(query: str) -> list[str]:
    text = " ".join(line for line in query.splitlines() if not line.lstrip().startswith("#"))
    return [" ".join(command.split()) for command in text.split("|")]


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        yield prefix, value
        return
    for name, each in inner:
        yield from _flat(f"{prefix}.{name}" if prefix else str(name), each)


def _fields(rest: str, rows: list[Row]) -> list[Row]:
    """What is shown; the others stay for the commands behind."""
    assert all(re.fullmatch(r"[\w.@]+", name.strip()) for name in rest.split(",")), rest
    return rows


def _filter(rest: str, rows: list[Row]) -> list[Row]:
    code = compile(_python(rest), rest, "eval")
    return [
        row for row in rows if eval(code, {"_get": partial(_get, row), "ispresent": lambda field: not isinstance(field, Absent)})
    ]


def _stats(rest: str, rows: list[Row]) -> list[Row]:
    wanted, _, by = rest.partition(" by ")
    keys = [key.strip() for key in by.split(",")]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    columns = [each.rpartition(" as ") for each in re.split(r",(?![^()]*\))", wanted)]
    return [
        {**dict(zip(keys, group, strict=True)), **{name.strip(): _aggregate(what, members) for what, _, name in columns}}
        for group, members in groups.items()
    ]


def _aggregate(expression: str, rows: list[Row]) -> Any:
    def over(function: Callable[[list[Any]], Any], name: str) -> Any:
        return function([row[name] for row in rows if name in row])

    def pct(name: str, percent: int) -> Any:
        values = sorted(over(list, name))
        return values[ceil(len(values) * percent / 100) - 1]

    known = {"_sum": partial(over, sum), "_max": partial(over, max), "_min": partial(over, min), "_pct": pct}
    text = re.sub(r"\b(sum|max|min)\(([\w.@]+)\)", r'_\1("\2")', expression).replace("count(*)", str(len(rows)))
    text = re.sub(r"\bpct\(([\w.@]+), (\d+)\)", r'_pct("\1", \2)', text)
    return eval(text.strip(), {"__builtins__": {}, **known})


def _sort(rest: str, rows: list[Row]) -> list[Row]:
    name, _, order = rest.partition(" ")
    assert order in ("asc", "desc"), rest
    return sorted((row for row in rows if name in row), key=lambda row: row[name], reverse=order == "desc")


def _limit(rest: str, rows: list[Row]) -> list[Row]:
    return rows[: int(rest)]


def _python(expression: str) -> str:
    """The condition as Python has it. Whatever is not understood to the last character is an error."""
    pieces, position = [], 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        assert match, f"not understood: {expression[position:]}"
        text, number, word, operator = match.groups()
        is_field = word and word not in _WORDS and word not in _FUNCTIONS
        pieces.append(f'_get("{word}")' if is_field else text or number or word or {"=": "=="}.get(operator, operator))
        position = match.end()
    return " ".join(pieces)


def _is_present(value: Any) -> bool:
    return not isinstance(value, Absent)


def _get(row: Row, name: str) -> Any:
    return row.get(name, Absent())


_COMMANDS: dict[str, Callable[[str, list[Row]], list[Row]]] = {
    "fields": _fields,
    "filter": _filter,
    "stats": _stats,
    "sort": _sort,
    "limit": _limit,
}
