"""Lists a page at a time: an order of rows, and the place in it where a page ended and the next one begins.

Builds queries, knows no table. Invariant: a place is a row's own values, never a count of rows, so whoever comes or goes between
two pages moves nobody else to another one, and the last page costs what the first does where an index has the order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_

from core.threads import paced

L = TypeVar("L")
Place = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[L]):
    """`last`: the place of the last line, for the page after it; None where there is none."""

    lines: tuple[L, ...]
    last: Place | None = None

    @property
    def has_more(self) -> bool:
        return self.last is not None


@dataclass(frozen=True, slots=True)
class By:
    """One expression that is sorted by. It is never null: a place could not be compared with it."""

    what: ColumnElement[Any]
    is_down: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """`parts`, the first counts most; the last is another one for each row."""

    parts: tuple[By, ...]

    def sorted(self, query: Select[Any], after: Place | None = None) -> Select[Any]:
        """In this order; only what comes after that place."""
        if after is not None:
            query = query.where(_behind(self.parts, after))
        return query.order_by(*(part.what.desc() if part.is_down else part.what for part in self.parts))

    def page(
        self, connection: Connection, query: Select[Any], limit: int, line: Callable[[Row[Any]], L], after: Place | None = None
    ) -> Page[L]:
        """One query."""
        named = query.add_columns(*(part.what.label(_label(number)) for number, part in enumerate(self.parts)))
        found = paced(connection.execute(self.sorted(named, after).limit(limit + 1)))
        return cut([(line(row), tuple(row[-len(self.parts) :])) for row in found], limit)


def cut(found: Sequence[tuple[L, Place]], limit: int) -> Page[L]:
    """Of lines with their places, up to one more than `limit`."""
    shown = found[:limit]
    return Page(tuple(line for line, _ in shown), shown[-1][1] if len(found) > limit else None)


def _behind(parts: tuple[By, ...], after: Place) -> ColumnElement[bool]:
    """Later in the order. The bound on the first part alone is what an index begins at."""
    (part, value), others = (parts[0], after[0]), parts[1:]
    further: ColumnElement[bool] = part.what < value if part.is_down else part.what > value
    if not others:
        return further
    reached: ColumnElement[bool] = part.what <= value if part.is_down else part.what >= value
    return and_(reached, or_(further, _behind(others, after[1:])))


def _label(number: int) -> str:
    return f"place_{number}"
