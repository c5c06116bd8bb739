"""What the pages show: read-only queries over all tables, bounded whatever the tables hold.

Functions on a Connection, to be called inside `Database.read`. Knows no page. Invariants: a fixed number of queries, each with
a limit or over a range of an index, so that 1,000 users, 10,000 keys and a million requests cost what ten do; nothing
secret is read (no hash, no sealed key, no digest of a credential).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, case, func, or_, select

from core.circuit_rows import OPEN
from core.heartbeat import WorkerSeen, list_workers
from core.models import access_keys, bedrock_keys, circuits, requests, usage_hourly, users
from core.types import UserStatus

USERS_A_PAGE = 50
REQUESTS_SHOWN = 50
CIRCUITS_SHOWN = 100
ENDED_KEYS_SHOWN_FOR = timedelta(days=7)
_MOST_KEYS = 1000  # a page's users have some hundred; a script may have made and revoked many more


@dataclass(frozen=True, slots=True)
class Sums:
    """What one provider did in a range of time; `provider` is empty where none answered. `input_tokens` holds cached ones."""

    provider: str
    requests: int = 0
    errors: int = 0
    fallbacks: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0
    list_value_micros: int = 0


@dataclass(frozen=True, slots=True)
class KeyLine:
    """An access key as it may be shown. `status` is active, expired or revoked."""

    id: str
    prefix: str
    name: str
    status: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class BedrockKeyLine:
    """A Bedrock key without its secret. `access_key_id` is empty when all keys of the user may use it."""

    id: str
    access_key_id: str
    region: str
    residency: str
    health: str
    reason: str
    tested_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class UserLine:
    id: str
    name: str
    status: str
    strategy: str
    keys: tuple[KeyLine, ...]
    bedrock_keys: tuple[BedrockKeyLine, ...]


@dataclass(frozen=True, slots=True)
class CircuitLine:
    """An open circuit. `holder` is the id of the access key or Bedrock key; `family` is "*" where it holds for every model."""

    provider: str
    holder: str
    prefix: str
    user_name: str
    family: str
    fault: str
    opened_at: datetime | None
    until: datetime
    probe_at: datetime | None


@dataclass(frozen=True, slots=True)
class RequestLine:
    """`input_tokens` holds cached ones. Names are empty where user or key are gone."""

    request_id: str
    started_at: datetime
    user_name: str
    prefix: str
    endpoint: str
    provider: str
    fault: str
    model: str
    status: int
    input_tokens: int
    output_tokens: int
    cost_micros: int
    list_value_micros: int
    first_byte_ms: float
    total_ms: float
    confidence: str


@dataclass(frozen=True, slots=True)
class Part:
    """One page of a longer list. `total` counts all of it."""

    lines: tuple[Any, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Overview:
    workers: tuple[WorkerSeen, ...]
    today: tuple[Sums, ...]
    users: Part
    circuits: Part
    requests: tuple[RequestLine, ...]


def overview(connection: Connection, now: datetime, page: int = 1) -> Overview:
    """Everything that the overview page shows, in seven queries. `page` counts from 1 and turns the list of users."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Overview(
        workers=tuple(list_workers(connection)),
        today=sums_since(connection, midnight),
        users=user_page(connection, now, page),
        circuits=open_circuits(connection, now),
        requests=latest_requests(connection),
    )


def sums_since(connection: Connection, hour: datetime) -> tuple[Sums, ...]:
    """By provider, from this UTC hour on."""
    table = usage_hourly.c
    taken = table.input_tokens + table.cache_read_tokens + table.cache_write_5m_tokens + table.cache_write_1h_tokens
    counts, money = (table.requests, table.errors, table.fallbacks), (table.cost_micros, table.list_value_micros)
    sums = map(func.sum, (*counts, taken, table.output_tokens, *money))
    query = select(table.provider, *sums).where(table.hour >= hour).group_by(table.provider)
    rows = connection.execute(query.order_by(table.provider.desc()))
    return tuple(Sums(row[0], *map(int, row[1:])) for row in rows)


def user_page(connection: Connection, now: datetime, page: int) -> Part:
    """Users by name that are not deleted, with their keys: three queries. Behind the last page there is nothing."""
    found = connection.execute(_users_of_page(page)).all()
    ids = [row.id for row in found]
    keys = _by_user(connection.execute(_keys_of(ids, now)).all())
    attached = _by_user(connection.execute(_bedrock_keys_of(ids)).all())
    lines = tuple(
        UserLine(
            id=row.id,
            name=row.name,
            status=row.status,
            strategy=row.strategy,
            keys=tuple(_key(key, now) for key in keys.get(row.id, ())),
            bedrock_keys=tuple(_bedrock_key(key) for key in attached.get(row.id, ())),
        )
        for row in found
    )
    return Part(lines, found[0].total if found else 0)


def open_circuits(connection: Connection, now: datetime) -> Part:
    """Those whose time has not come, the longest open first, with whom they hold up."""
    owner = func.coalesce(access_keys.c.user_id, bedrock_keys.c.user_id)
    source = (
        circuits.outerjoin(access_keys, access_keys.c.id == circuits.c.access_key_id)
        .outerjoin(bedrock_keys, bedrock_keys.c.id == circuits.c.bedrock_key_id)
        .outerjoin(users, users.c.id == owner)
    )
    names = (func.coalesce(access_keys.c.prefix, "").label("prefix"), func.coalesce(users.c.name, "").label("user_name"))
    query = select(circuits, *names, func.count().over().label("total")).select_from(source)
    query = query.where(circuits.c.state == OPEN, circuits.c.until > now).order_by(circuits.c.opened_at, circuits.c.name)
    found = connection.execute(query.limit(CIRCUITS_SHOWN)).all()
    return Part(tuple(_circuit(row) for row in found), found[0].total if found else 0)


def latest_requests(connection: Connection) -> tuple[RequestLine, ...]:
    """The latest, without `count_tokens`: Claude Code fires about 27 of those at once, and nothing else would be seen."""
    latest = (
        select(requests)
        .where(requests.c.endpoint != "count_tokens")
        .order_by(requests.c.started_at.desc(), requests.c.request_id.desc())
        .limit(REQUESTS_SHOWN)
        .subquery()
    )
    source = latest.outerjoin(users, users.c.id == latest.c.user_id)
    source = source.outerjoin(access_keys, access_keys.c.id == latest.c.access_key_id)
    names = (func.coalesce(users.c.name, "").label("user_name"), func.coalesce(access_keys.c.prefix, "").label("prefix"))
    query = select(latest, *names).select_from(source).order_by(latest.c.started_at.desc(), latest.c.request_id.desc())
    return tuple(_request(row) for row in connection.execute(query))


def _users_of_page(page: int) -> Select[Any]:
    columns = (users.c.id, users.c.name, users.c.status, users.c.strategy, func.count().over().label("total"))
    query = select(*columns).where(users.c.status != UserStatus.DELETED).order_by(users.c.name, users.c.id)
    return query.limit(USERS_A_PAGE).offset((page - 1) * USERS_A_PAGE)


def _keys_of(user_ids: Sequence[str], now: datetime) -> Select[Any]:
    """Those that are good, and those that ended lately: the ones that people ask about."""
    table = access_keys.c
    lately = now - ENDED_KEYS_SHOWN_FOR
    is_recent = and_(
        or_(table.revoked_at.is_(None), table.revoked_at > lately),
        or_(table.expires_at.is_(None), table.expires_at > lately),
    )
    has_ended = case((or_(table.revoked_at.is_not(None), table.expires_at <= now), 1), else_=0)
    columns = (table.id, table.user_id, table.prefix, table.name, table.expires_at, table.revoked_at)
    query = select(*columns).where(table.user_id.in_(user_ids), is_recent)
    return query.order_by(has_ended, table.id).limit(_MOST_KEYS)


def _bedrock_keys_of(user_ids: Sequence[str]) -> Select[Any]:
    table = bedrock_keys.c
    place = (table.id, table.user_id, table.access_key_id, table.region, table.residency)
    state = (table.health, table.health_reason, table.tested_at, table.expires_at)
    query = select(*place, *state).where(table.user_id.in_(user_ids), table.deleted_at.is_(None))
    return query.order_by(table.id).limit(_MOST_KEYS)


def _by_user(rows: Sequence[Row[Any]]) -> dict[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.user_id, []).append(row)
    return found


def _key(row: Row[Any], now: datetime) -> KeyLine:
    is_expired = row.expires_at is not None and row.expires_at <= now
    status = "revoked" if row.revoked_at is not None else "expired" if is_expired else "active"
    return KeyLine(row.id, row.prefix, row.name, status, row.expires_at)


def _bedrock_key(row: Row[Any]) -> BedrockKeyLine:
    place = (row.id, row.access_key_id or "", row.region, row.residency)
    return BedrockKeyLine(*place, row.health, row.health_reason, row.tested_at, row.expires_at)


def _circuit(row: Row[Any]) -> CircuitLine:
    holder = row.access_key_id or row.bedrock_key_id
    owner = (row.provider, holder, row.prefix, row.user_name)
    return CircuitLine(*owner, row.family, row.fault, row.opened_at, row.until, row.probe_at)


def _request(row: Row[Any]) -> RequestLine:
    return RequestLine(
        request_id=row.request_id,
        started_at=row.started_at,
        user_name=row.user_name,
        prefix=row.prefix,
        endpoint=row.endpoint,
        provider=row.provider,
        fault=row.fault,
        model=row.model_served or row.model_asked,
        status=row.status,
        input_tokens=row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens,
        output_tokens=row.output_tokens,
        cost_micros=row.cost_micros,
        list_value_micros=row.list_value_micros,
        first_byte_ms=row.first_byte_ms,
        total_ms=row.total_ms,
        confidence=row.confidence,
    )
