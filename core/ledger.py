"""Finished requests into the database: one row each, and the hourly sums, in one transaction.

Knows nothing of spools and requests under way. Invariants: a request is counted once, however often its record comes (the
row's key decides, and only rows really inserted are summed); rows and sums cannot disagree; both are written in the order of
their keys, so that workers cannot deadlock. Who owns a record's ids is not checked: an account that is deleted while its
request runs must not cost us the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import isfinite
from operator import attrgetter, le
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Connection, Float, Integer, String, select
from sqlalchemy.exc import DataError, IntegrityError

from core.db import Database
from core.json_rows import DIALECTS, TooLarge, insert_of, rows_text
from core.models import requests, usage_hourly
from core.outcome import is_error, is_fallback
from core.record import RequestRecord
from core.session_sums import add_sessions
from core.spend_rows import add_spend

_UTC = ZoneInfo("UTC")
_MOST_TRACE_CHARS = 4000
_LATEST = 253_402_300_799.0  # the end of the year 9999, in unix seconds
_HOUR_KEY = ("hour", "access_key_id", "provider", "model")
AMOUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_read_tokens",
    "cost_micros",
    "list_value_micros",
)
SUMMED = ("requests", "errors", "fallbacks", *AMOUNTS)


class Unwritable(Exception):
    """A record that no database will ever take is among these; nothing was written. Trying again is of no use."""


def write_batch(connection: Connection, records: Sequence[RequestRecord], zone: ZoneInfo = _UTC) -> int:
    """Write the records and their sums; returns how many were new. Must run in a transaction of its own.

    `zone` is where the months of budgets begin.

    Raises Unwritable; whoever called finds the record by halving the batch.
    """
    once = {record.request_id: record for record in reversed(records)}
    rows = [row_of(once[request_id]) for request_id in sorted(once)]
    try:
        inserted = set(connection.execute(_INSERT[connection.dialect.name], rows_text(rows)).scalars())
        new = [row for row in rows if row["request_id"] in inserted]
        if new:
            connection.execute(_ADD_UP[connection.dialect.name], rows_text(_hourly(new)))
            add_spend(connection, new, zone)
            add_sessions(connection, new)
    except (DataError, IntegrityError) as error:
        raise Unwritable(f"{type(error.orig).__name__}: {error.orig}"[:200]) from None
    except TooLarge as error:
        raise Unwritable(str(error)) from None
    return len(new)


def write_all(
    database: Database, records: Sequence[RequestRecord], dead: list[tuple[RequestRecord, str]], zone: ZoneInfo = _UTC
) -> int:
    """One transaction; where a record is poison, halves, until it stands alone: it goes to `dead`, with the reason.

    Returns how many were new. Raises DatabaseAway; what is written by then is simply known the next time.
    """
    if not records:
        return 0
    try:
        return database.run(lambda connection: write_batch(connection, records, zone))
    except Unwritable as unwritable:
        if len(records) == 1:
            dead.append((records[0], str(unwritable)))
            return 0
    middle = len(records) // 2
    return write_all(database, records[:middle], dead, zone) + write_all(database, records[middle:], dead, zone)


def known_among(connection: Connection, request_ids: Sequence[str]) -> set[str]:
    """Those that have their row already."""
    return set(connection.execute(select(requests.c.request_id).where(requests.c.request_id.in_(request_ids))).scalars())


def _hourly(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows' sums, sorted by their keys."""
    sums: dict[tuple[str, ...], list[int]] = {}
    users: dict[tuple[str, ...], str] = {}
    for row in rows:
        provider, fault = row["provider"], row["fault"]
        hour = row["started_at"][:13] + ":00:00.000000"
        key = (hour, row["access_key_id"], provider, row["model_served"] or row["model_asked"])
        amounts = [1, is_error(row["status"], provider, fault), is_fallback(provider, fault), *[row[name] for name in AMOUNTS]]
        before = sums.get(key)
        sums[key] = list(map(int, amounts)) if before is None else list(map(int.__add__, before, amounts))
        users[key] = row["user_id"]
    return [
        dict(zip(_HOUR_KEY, key, strict=True)) | dict(zip(SUMMED, sums[key], strict=True)) | {"user_id": users[key]}
        for key in sorted(sums)
    ]


def row_of(record: RequestRecord) -> dict[str, Any]:
    """The record as columns, with the same strictness for both databases. Raises Unwritable."""
    texts, counts, numbers = _texts_of(record), _counts_of(record), _numbers_of(record)
    _check(record, texts, counts, numbers)
    together = "".join(texts)
    if "\0" in together or not together.isascii() or not all(map(le, map(len, texts), _TEXTS.values())):
        texts = tuple(map(_cleaned, texts, _TEXTS.values()))
    moment = datetime.fromtimestamp(record.started_at, UTC).replace(tzinfo=None)
    row: dict[str, Any] = dict(zip(_TEXTS, texts, strict=True))
    row |= zip(_COUNTS, counts, strict=True)
    row |= zip(_NUMBERS, numbers, strict=True)
    row |= {"streamed": record.streamed, "started_at": moment.isoformat(" ", "microseconds")}
    return row


def _check(record: RequestRecord, texts: tuple[Any, ...], counts: tuple[Any, ...], numbers: tuple[Any, ...]) -> None:
    """Types and ranges: a line in a spool may come from another release."""
    if set(map(type, texts)) != {str} or set(map(type, counts)) != {int} or type(record.streamed) is not bool:
        raise Unwritable("a value is not of its column's type")
    if not {float, int}.issuperset(map(type, (*numbers, record.started_at))):
        raise Unwritable("a number is not a number")
    if min(counts) < -(2**63) or max(counts) >= 2**63 or not -(2**31) <= record.status < 2**31:
        raise Unwritable("a count is out of range")
    if not all(map(isfinite, numbers)) or not 0 <= record.started_at < _LATEST:
        raise Unwritable("a number is out of range")


def _cleaned(text: str, most_chars: int) -> str:
    """Without what one of the databases refuses: NUL, lone surrogates, and more than the column holds."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")[:most_chars]


def _length(of: Column[Any]) -> int:
    return getattr(of.type, "length", None) or _MOST_TRACE_CHARS


def _is_text(of: Column[Any]) -> bool:
    return isinstance(of.type, String)


_TEXTS = MappingProxyType({str(of.name): _length(of) for of in requests.columns if _is_text(of)})
_COUNTS = tuple(str(of.name) for of in requests.columns if isinstance(of.type, Integer))
_NUMBERS = tuple(str(of.name) for of in requests.columns if isinstance(of.type, Float))
_texts_of = attrgetter(*_TEXTS)
_counts_of = attrgetter(*_COUNTS)
_numbers_of = attrgetter(*_NUMBERS)


def _insert_new(dialect: str) -> Any:
    key = requests.c.request_id
    return insert_of(requests, dialect).on_conflict_do_nothing(index_elements=[key]).returning(key)


def _add_up(dialect: str) -> Any:
    insert = insert_of(usage_hourly, dialect)
    more = {name: usage_hourly.c[name] + insert.excluded[name] for name in SUMMED}
    return insert.on_conflict_do_update(index_elements=[usage_hourly.c[name] for name in _HOUR_KEY], set_=more)


_INSERT = MappingProxyType({dialect: _insert_new(dialect) for dialect in DIALECTS})
_ADD_UP = MappingProxyType({dialect: _add_up(dialect) for dialect in DIALECTS})
