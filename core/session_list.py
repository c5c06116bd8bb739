"""Sessions of Claude Code, the latest used first: of everybody, of a user, of a key; page by page.

Read-only functions on a Connection, over the sums that the ledger keeps (core/session_sums.py). Knows no page. A session is one
of one access key. Invariant: every search follows an index and stops at its limit; no request record is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select

from core.keyset import By, Order, Page, Place
from core.owner_names import with_owner_names
from core.reports import Part
from core.session_models import claude_sessions

SESSIONS_A_PAGE = 20
MOST_COUNTED = 10_000


class Answered(StrEnum):
    """Who answered in a session. `PLAN`: the plan alone. `ERRORS`: some of its requests failed."""

    PLAN = "plan"
    BEDROCK = "bedrock"
    FALLBACK = "fallback"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Empty fields take all. `since` and `until` are about the last request."""

    user_id: str = ""
    access_key_id: str = ""
    answered: Answered | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class SessionLine:
    """`agents` counts the main agent, too. `fault`: why Bedrock answered instead of the plan the last time, at `fell_back_at`.

    `input_tokens` holds cached ones. Names are empty where user or key are gone.
    """

    session_id: str
    access_key_id: str
    prefix: str
    key_name: str
    user_id: str
    user_name: str
    first_at: datetime
    last_at: datetime
    fell_back_at: datetime | None
    fault: str
    agents: int
    requests: int
    errors: int
    fallbacks: int
    plan: int
    bedrock: int
    input_tokens: int
    output_tokens: int
    cost_micros: int
    list_value_micros: int

    @property
    def nobody(self) -> int:
        """How many requests neither answered."""
        return self.requests - self.plan - self.bedrock


def find_sessions(connection: Connection, wanted: SessionFilter, limit: int, after: Place | None = None) -> Page[SessionLine]:
    """One query. A session that is used again meanwhile moves to the front: nobody sees it twice."""
    found = select(claude_sessions).where(*_conditions(wanted))
    latest = _latest_first(claude_sessions).sorted(found, after).limit(limit + 1).subquery()
    return _latest_first(latest).page(connection, with_owner_names(latest), limit, _line)


def sessions_in_order(connection: Connection, wanted: SessionFilter, limit: int, after: Place | None = None) -> Page[SessionLine]:
    """The same in the order of keys and ids: the one in which nothing moves while it is read from page to page."""
    table = claude_sessions.c
    order = Order((By(table.access_key_id), By(table.session_id)))
    return order.page(connection, with_owner_names(claude_sessions).where(*_conditions(wanted)), limit, _line, after)


def count_sessions(connection: Connection, wanted: SessionFilter) -> int:
    """How many there are, up to MOST_COUNTED and one more. One query."""
    some = select(claude_sessions.c.session_id).where(*_conditions(wanted)).limit(MOST_COUNTED + 1).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def sessions_on(connection: Connection, wanted: SessionFilter, page: int = 1) -> Part:
    """`SessionLine`s for whoever turns numbered pages, in two queries."""
    begins = (page - 1) * SESSIONS_A_PAGE
    found = _latest_first(claude_sessions).sorted(select(claude_sessions).where(*_conditions(wanted)))
    latest = found.limit(SESSIONS_A_PAGE).offset(begins).subquery()
    rows = connection.execute(_latest_first(latest).sorted(with_owner_names(latest)))
    return Part(tuple(map(_line, rows)), count_sessions(connection, wanted))


def _latest_first(of: Any) -> Order:
    return Order((By(of.c.last_at, is_down=True), By(of.c.access_key_id), By(of.c.session_id)))


def _conditions(wanted: SessionFilter) -> Iterable[ColumnElement[bool]]:
    table = claude_sessions.c
    if wanted.user_id:
        yield table.user_id == wanted.user_id
    if wanted.access_key_id:
        yield table.access_key_id == wanted.access_key_id
    if wanted.since is not None:
        yield table.last_at >= wanted.since
    if wanted.until is not None:
        yield table.last_at < wanted.until
    if wanted.answered is not None:
        yield {
            Answered.PLAN: and_(table.plan_requests > 0, table.bedrock_requests == 0),
            Answered.BEDROCK: table.bedrock_requests > 0,
            Answered.FALLBACK: table.fallbacks > 0,
            Answered.ERRORS: table.errors > 0,
        }[wanted.answered]


def _line(row: Row[Any]) -> SessionLine:
    return SessionLine(
        session_id=row.session_id,
        access_key_id=row.access_key_id,
        prefix=row.prefix,
        key_name=row.key_name,
        user_id=row.user_id,
        user_name=row.user_name,
        first_at=row.first_at,
        last_at=row.last_at,
        fell_back_at=row.fell_back_at,
        fault=row.fault,
        agents=row.agents,
        requests=row.requests,
        errors=row.errors,
        fallbacks=row.fallbacks,
        plan=row.plan_requests,
        bedrock=row.bedrock_requests,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_micros=row.cost_micros,
        list_value_micros=row.list_value_micros,
    )
