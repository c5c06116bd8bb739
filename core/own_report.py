"""What the tables know of one access key, for the developer who has it (SPEC section 10): read-only and bounded.

Functions on a Connection, to be called inside `Database.read`. Knows no page. Invariant: every query names the key, or its
user for what was spent; nothing of another user is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from core.models import requests
from core.plan_window_rows import windows_of
from core.plan_windows import PlanWindows
from core.reports import Part
from core.session_report import Whose, latest_sessions
from core.spend_rows import spent_in

REQUESTS_SHOWN = 20
_AMONG = 1000  # of the latest requests of any kind


@dataclass(frozen=True, slots=True)
class OwnRequest:
    """`input_tokens` holds cached ones. `session_id` is empty where the client names none."""

    request_id: str
    started_at: datetime
    endpoint: str
    session_id: str
    provider: str
    fault: str
    model: str
    status: int
    input_tokens: int
    output_tokens: int
    cost_micros: int
    list_value_micros: int
    total_ms: float


@dataclass(frozen=True, slots=True)
class OwnReport:
    """`spent_by_user` and `spent_by_key` are micro-dollars of the month; `sessions` are `SessionSpan`s."""

    windows: PlanWindows | None
    spent_by_user: int
    spent_by_key: int
    requests: tuple[OwnRequest, ...]
    sessions: Part


def own_report(connection: Connection, user_id: str, access_key_id: str, month: str, page: int = 1) -> OwnReport:
    """`page` counts from 1 and turns the list of sessions."""
    spent = {owner.access_key_id: micros for owner, micros in spent_in(connection, month, [user_id]).items()}
    return OwnReport(
        windows=windows_of(connection, access_key_id),
        spent_by_user=sum(spent.values()),
        spent_by_key=spent.get(access_key_id, 0),
        requests=latest_of(connection, access_key_id),
        sessions=latest_sessions(connection, Whose(access_key_id=access_key_id), page),
    )


def latest_of(connection: Connection, access_key_id: str) -> tuple[OwnRequest, ...]:
    """The latest, without `count_tokens`: Claude Code fires about 27 of those at once, and nothing else would be seen."""
    of_key = select(requests).where(requests.c.access_key_id == access_key_id)
    latest = of_key.order_by(requests.c.started_at.desc()).limit(_AMONG).subquery()
    query = select(latest).where(latest.c.endpoint != "count_tokens")
    rows = connection.execute(query.order_by(latest.c.started_at.desc(), latest.c.request_id.desc()).limit(REQUESTS_SHOWN))
    return tuple(
        OwnRequest(
            request_id=row.request_id,
            started_at=row.started_at,
            endpoint=row.endpoint,
            session_id=row.session_id,
            provider=row.provider,
            fault=row.fault,
            model=row.model_served or row.model_asked,
            status=row.status,
            input_tokens=row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens,
            output_tokens=row.output_tokens,
            cost_micros=row.cost_micros,
            list_value_micros=row.list_value_micros,
            total_ms=row.total_ms,
        )
        for row in rows
    )
