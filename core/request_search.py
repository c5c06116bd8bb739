"""Finding request records: by user, key, provider, fault, status, session and time; the latest first, page by page.

Read-only functions on a Connection. Knows no page. Invariant: every search follows an index and stops at its limit; what a
filter leaves out costs time only within the span that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, and_, select

from core.access import NotFound
from core.keyset import By, Order, Page, Place
from core.models import requests
from core.owner_names import with_owner_names

ANY_FAULT = "any"
NO_PROVIDER = "none"


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Empty fields take all. `fault`: one, or "any". `provider`: one, or "none" where nothing answered.

    `status`: an exact one ("429") or a class ("5xx"). `counts` takes `count_tokens` in, which Claude Code fires by the dozen.
    """

    user_id: str = ""
    access_key_id: str = ""
    provider: str = ""
    fault: str = ""
    status: str = ""
    session_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    counts: bool = False


@dataclass(frozen=True, slots=True)
class FoundRequest:
    """A record with the names that go with it; empty where user or key are gone."""

    row: Row[Any]
    user_name: str
    prefix: str
    key_name: str


def find_requests(connection: Connection, wanted: RequestFilter, limit: int, after: Place | None = None) -> Page[FoundRequest]:
    """One query."""
    found = select(requests).where(*_conditions(wanted))
    latest = _latest_first(requests).sorted(found, after).limit(limit + 1).subquery()
    return _latest_first(latest).page(connection, with_owner_names(latest), limit, _found)


def find_request(connection: Connection, request_id: str) -> FoundRequest:
    """Raises NotFound, also when the retention has deleted it."""
    row = connection.execute(
        with_owner_names(select(requests).where(requests.c.request_id == request_id).subquery())
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no record of {request_id}; records are kept for a limited time")
    return _found(row)


def _latest_first(of: FromClause) -> Order:
    return Order((By(of.c.started_at, is_down=True), By(of.c.request_id, is_down=True)))


def _conditions(wanted: RequestFilter) -> list[ColumnElement[bool]]:
    table = requests.c
    exact = (
        (table.user_id, wanted.user_id),
        (table.access_key_id, wanted.access_key_id),
        (table.session_id, wanted.session_id),
        (table.provider, "" if wanted.provider == NO_PROVIDER else wanted.provider),
    )
    found: list[ColumnElement[bool]] = [column == value for column, value in exact if value]
    if wanted.provider == NO_PROVIDER:
        found.append(table.provider == "")
    if wanted.fault:
        found.append(table.fault != "" if wanted.fault == ANY_FAULT else and_(table.fault != "", table.fault == wanted.fault))
    found += _of_status(wanted.status)
    if wanted.since is not None:
        found.append(table.started_at >= wanted.since)
    if wanted.until is not None:
        found.append(table.started_at < wanted.until)
    if not wanted.counts:
        found.append(table.endpoint != "count_tokens")
    return found


def _of_status(status: str) -> list[ColumnElement[bool]]:
    if not status:
        return []
    column = requests.c.status
    if not status.endswith("xx"):
        wanted = int(status)
        return [column == wanted, *([column >= 400] if wanted >= 400 else [])]
    low = int(status[0]) * 100
    return [column >= low, column < low + 100, *([column >= 400] if low >= 400 else [])]


def _found(row: Row[Any]) -> FoundRequest:
    return FoundRequest(row, row.user_name, row.prefix, row.key_name)
