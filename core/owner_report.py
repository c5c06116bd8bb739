"""What the keys of one user, or one key, did: sums of a range of time, and the latest requests.

Read-only functions on a Connection, two queries, each over a range of an index or with a limit. Knows no page. Of `user_id`
and `access_key_id` exactly one is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from core.models import access_keys, requests, usage_hourly
from core.reports import Sums

_MOST_MODELS = 50


@dataclass(frozen=True, slots=True)
class ModelSums:
    """What was used of one model at one provider; `model` and `provider` are empty where none answered."""

    model: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class OwnRequest:
    """A request as its owner's page lists it. `input_tokens` holds cached ones; `prefix` is empty where the key is gone."""

    request_id: str
    started_at: datetime
    prefix: str
    session_id: str
    provider: str
    fault: str
    model: str
    status: int
    input_tokens: int
    output_tokens: int
    cost_micros: int
    total_ms: float


def usage_of(
    connection: Connection, since: datetime, until: datetime, *, user_id: str = "", access_key_id: str = ""
) -> tuple[ModelSums, ...]:
    """By provider and model, the UTC hours from `since` to before `until`; the dearest first."""
    table = usage_hourly.c
    owned = table.access_key_id == access_key_id if access_key_id else table.user_id == user_id
    taken = table.input_tokens + table.cache_read_tokens + table.cache_write_5m_tokens + table.cache_write_1h_tokens
    counts, money = (table.requests, table.errors, table.fallbacks), (table.cost_micros, table.list_value_micros)
    sums = [func.sum(column) for column in (*counts, taken, table.output_tokens, *money)]
    query = select(table.model, table.provider, *sums).where(owned, table.hour >= since, table.hour < until)
    query = query.group_by(table.model, table.provider).order_by(sums[-1].desc(), table.model, table.provider)
    rows = connection.execute(query.limit(_MOST_MODELS))
    return tuple(ModelSums(row[0], Sums(row[1], *map(int, row[2:]))) for row in rows)


def requests_of(connection: Connection, limit: int, *, user_id: str = "", access_key_id: str = "") -> tuple[OwnRequest, ...]:
    """The latest, without `count_tokens`: Claude Code fires about 27 of those at once, and nothing else would be seen."""
    owned = requests.c.access_key_id == access_key_id if access_key_id else requests.c.user_id == user_id
    query = select(requests, func.coalesce(access_keys.c.prefix, "").label("prefix"))
    query = query.select_from(requests.outerjoin(access_keys, access_keys.c.id == requests.c.access_key_id))
    query = query.where(owned, requests.c.endpoint != "count_tokens")
    latest = query.order_by(requests.c.started_at.desc(), requests.c.request_id.desc()).limit(limit)
    return tuple(map(_request, connection.execute(latest)))


def _request(row: Row[Any]) -> OwnRequest:
    return OwnRequest(
        request_id=row.request_id,
        started_at=row.started_at,
        prefix=row.prefix,
        session_id=row.session_id,
        provider=row.provider,
        fault=row.fault,
        model=row.model_served or row.model_asked or row.endpoint,
        status=row.status,
        input_tokens=row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens,
        output_tokens=row.output_tokens,
        cost_micros=row.cost_micros,
        total_ms=row.total_ms,
    )
