"""Sessions of Claude Code and what each of their agents cost: read-only, out of the request records.

Functions on a Connection, to be called inside `Database.read`, and one pure function that makes the tree. Knows no page. A
session is what a client says it is (`x-claude-code-session-id` and the ids of its agents), so ids are looked for among the
requests of one user or key alone. Invariants: a fixed number of queries, each over a bounded number of rows out of an index;
whatever ids a client makes up, the tree holds each agent once. Only messages count: `count_tokens` costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, String, Subquery, and_, case, column, func, or_, select

from core.columns import UtcTime
from core.keyset import By, Order
from core.models import requests
from core.reports import Part, Sums
from core.types import ProviderName

SESSIONS_A_PAGE = 20
LATEST = 10_000  # of a user's or a key's requests, in which sessions are looked for
MOST_RECORDS = 50_000  # that are summed up for one answer
MOST_AGENTS = 1000
MAIN = ""  # the id of a session's own agent, which began the others

_LATEST_USED = Order((By(column("last_at", UtcTime), is_down=True), By(column("session_id", String))))
_COUNTED = ("requests", "errors", "fallbacks", "input_tokens", "output_tokens", "cost_micros", "list_value_micros")


@dataclass(frozen=True, slots=True)
class Whose:
    """A user with all their keys, or one access key: exactly one of the two is given."""

    user_id: str = ""
    access_key_id: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Requests summed up: all of them, and by provider. `first_at` and `last_at` are when the first and the last began."""

    first_at: datetime
    last_at: datetime
    total: Sums
    by_provider: tuple[Sums, ...]


@dataclass(frozen=True, slots=True)
class SessionSpan:
    """`agents` counts the main agent, too."""

    session_id: str
    agents: int
    span: Span


@dataclass(frozen=True, slots=True)
class AgentLine:
    """`depth` 0 is the main agent (`agent_id` empty). `own` is None where no request of the agent itself is known.

    `below` is the agent with all that it began, down to the last.
    """

    agent_id: str
    depth: int
    own: Span | None
    below: Span


@dataclass(frozen=True, slots=True)
class SessionTree:
    """Agents in the order of the tree: each behind the one that began it, siblings as they began. Not `is_whole`: there is
    more than is summed up here."""

    session_id: str
    agents: tuple[AgentLine, ...]
    is_whole: bool

    @property
    def span(self) -> Span:
        return self.agents[0].below


def latest_sessions(connection: Connection, whose: Whose, page: int = 1) -> Part:
    """`SessionSpan`s, the latest used first, in three queries: those among the latest requests, each summed up as a whole."""
    begins = (page - 1) * SESSIONS_A_PAGE
    found = connection.execute(_LATEST_USED.sorted(_sessions_of(whose)).limit(SESSIONS_A_PAGE).offset(begins)).all()
    return Part(_lines(connection, whose, [row.session_id for row in found]), found[0].total if found else 0)


def _lines(connection: Connection, whose: Whose, ids: Sequence[str]) -> tuple[SessionSpan, ...]:
    if not ids:
        return ()
    records = _records(whose, ids)
    agents_of = select(records.c.session_id, func.count(records.c.agent_id.distinct()).label("agents"))
    agents = {row.session_id: row.agents for row in connection.execute(agents_of.group_by(records.c.session_id))}
    rows: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(_summed(records, records.c.session_id)):
        rows.setdefault(row.session_id, []).append(row)
    return tuple(SessionSpan(each, agents[each], _span(rows[each])) for each in ids if each in rows)


def session_tree(connection: Connection, whose: Whose, session_id: str) -> SessionTree | None:
    """What each agent of the session did, in one query. None where these know no such session."""
    if not session_id:
        return None
    records = _records(whose, [session_id])
    parent = func.max(records.c.parent_agent_id).label("parent_agent_id")
    query = _summed(records, records.c.agent_id).add_columns(parent)
    found = connection.execute(query.order_by(func.min(records.c.started_at)).limit(3 * MOST_AGENTS)).all()
    if not found:
        return None
    spans: dict[str, list[Row[Any]]] = {}
    parents: dict[str, str] = {}
    for row in found:
        spans.setdefault(row.agent_id, []).append(row)
        parents.setdefault(row.agent_id, row.parent_agent_id)
    seen = list(spans)[:MOST_AGENTS]
    is_whole = len(seen) == len(spans) and sum(row.requests for row in found) < MOST_RECORDS and len(found) < 3 * MOST_AGENTS
    own = {agent_id: _span(spans[agent_id]) for agent_id in seen}
    return SessionTree(session_id, tree_of(own, parents), is_whole)


def last_user_of(connection: Connection, session_id: str) -> str:
    """Whose request was the last of a session of this id; empty where none is kept. One row of an index."""
    query = select(requests.c.user_id).where(requests.c.session_id == session_id)
    return connection.execute(query.order_by(requests.c.started_at.desc()).limit(1)).scalar_one_or_none() or ""


def tree_of(own: dict[str, Span], parents: dict[str, str]) -> tuple[AgentLine, ...]:
    """Agents with their parents into lines. Pure. Who has no known parent, or is its own ancestor, is the main agent's child."""
    children: dict[str, list[str]] = {}
    for agent_id in sorted(own, key=lambda each: (own[each].first_at, each)):
        if agent_id != MAIN:
            children.setdefault(_parent(agent_id, own, parents), []).append(agent_id)
    lines: list[AgentLine] = []
    waiting = [(MAIN, 0)]
    order: list[tuple[str, int]] = []
    while waiting:
        agent_id, depth = waiting.pop()
        order.append((agent_id, depth))
        waiting += [(child, depth + 1) for child in reversed(children.get(agent_id, ()))]
    below: dict[str, Span] = {}
    for agent_id, depth in reversed(order):
        parts = [below[child] for child in children.get(agent_id, ())]
        below[agent_id] = _joined([own[agent_id], *parts] if agent_id in own else parts)
        lines.append(AgentLine(agent_id, depth, own.get(agent_id), below[agent_id]))
    return tuple(reversed(lines))


def _parent(agent_id: str, own: dict[str, Span], parents: dict[str, str]) -> str:
    parent = parents.get(agent_id, MAIN)
    if parent not in own:
        return MAIN
    above, passed = parent, {agent_id}
    while above != MAIN and above in own:
        if above in passed:
            return MAIN  # nobody began themselves
        passed.add(above)
        above = parents.get(above, MAIN)
    return parent


def _sessions_of(whose: Whose) -> Select[Any]:
    """Among the latest requests, with when each was used last and how many there are in all."""
    latest = select(requests.c.session_id, requests.c.started_at, requests.c.endpoint).where(_is_of(whose))
    rows = latest.order_by(requests.c.started_at.desc()).limit(LATEST).subquery()
    figures = (func.max(rows.c.started_at).label("last_at"), func.count().over().label("total"))
    grouped = select(rows.c.session_id, *figures).where(rows.c.session_id != "", rows.c.endpoint == "messages")
    return select(grouped.group_by(rows.c.session_id).subquery("sessions"))


def _records(whose: Whose, session_ids: Sequence[str]) -> Subquery:
    """The latest of them, so many and no more."""
    wanted = select(requests).where(requests.c.session_id.in_(session_ids), _is_of(whose), requests.c.endpoint == "messages")
    return wanted.order_by(requests.c.started_at.desc()).limit(MOST_RECORDS).subquery()


def _is_of(whose: Whose) -> ColumnElement[bool]:
    if whose.access_key_id:
        return requests.c.access_key_id == whose.access_key_id
    return requests.c.user_id == whose.user_id


def _summed(records: Subquery, group: Any) -> Select[Any]:
    """By `group` and provider: the figures of `Sums`, as the ledger's hourly sums count them (core.ledger)."""
    table = records.c
    failed = or_(table.status >= 500, table.fault == "stream_broken", and_(table.provider == "", table.status >= 400))
    is_error = and_(table.fault != "client_gone", failed)
    is_fallback = and_(table.provider == ProviderName.BEDROCK, table.fault.startswith("plan_", autoescape=True))
    taken = table.input_tokens + table.cache_read_tokens + table.cache_write_5m_tokens + table.cache_write_1h_tokens
    figures = (
        func.count().label("requests"),
        func.sum(case((is_error, 1), else_=0)).label("errors"),
        func.sum(case((is_fallback, 1), else_=0)).label("fallbacks"),
        func.sum(taken).label("input_tokens"),
        func.sum(table.output_tokens).label("output_tokens"),
        func.sum(table.cost_micros).label("cost_micros"),
        func.sum(table.list_value_micros).label("list_value_micros"),
    )
    edges = (func.min(table.started_at).label("first_at"), func.max(table.started_at).label("last_at"))
    return select(group, table.provider, *figures, *edges).group_by(group, table.provider)


def _span(rows: Iterable[Row[Any]]) -> Span:
    return _joined([_span_of(row) for row in rows])


def _span_of(row: Row[Any]) -> Span:
    sums = Sums(row.provider, *(int(getattr(row, name)) for name in _COUNTED))
    return Span(row.first_at, row.last_at, _total([sums]), (sums,))


def _joined(spans: Sequence[Span]) -> Span:
    """At least one."""
    providers: dict[str, list[Sums]] = {}
    for span in spans:
        for sums in span.by_provider:
            providers.setdefault(sums.provider, []).append(sums)
    by_provider = tuple(_total(providers[name], name) for name in sorted(providers, reverse=True))
    return Span(min(span.first_at for span in spans), max(span.last_at for span in spans), _total([*by_provider]), by_provider)


def _total(sums: Sequence[Sums], provider: str = "") -> Sums:
    return Sums(provider, *(sum(getattr(each, name) for each in sums) for name in _COUNTED))
