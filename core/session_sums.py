"""Sessions of Claude Code, summed up in the ledger's own transaction, so that they cannot disagree with its rows.

One function on a Connection; knows rows of the ledger, no page. Invariants: a request adds to its session once, since only rows
that were really inserted come here; an agent counts once, for whoever inserts its row counts it; rows are written in the order
of their keys, sessions before agents, so that workers cannot deadlock. Only messages count: `count_tokens` costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, and_, case, or_, update

from core.json_rows import DIALECTS, insert_of, rows_as, rows_text
from core.outcome import is_error, is_fallback
from core.session_models import claude_agents, claude_sessions
from core.types import ProviderName

Key = tuple[str, str]  # access key, session

_ADDED = (
    "requests",
    "errors",
    "fallbacks",
    "plan_requests",
    "bedrock_requests",
    "input_tokens",
    "output_tokens",
    "cost_micros",
    "list_value_micros",
)
_TAKEN = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def add_sessions(connection: Connection, ledger_rows: Iterable[Mapping[str, Any]]) -> None:
    """Add what these newly inserted rows of the ledger say (`started_at`: UTC, ISO text)."""
    sums: dict[Key, dict[str, Any]] = {}
    agents: set[tuple[str, str, str]] = set()
    for row in ledger_rows:
        if row["session_id"] and row["endpoint"] == "messages":
            key = (row["access_key_id"], row["session_id"])
            sums[key] = _joined(sums[key], row) if key in sums else _sums_of(row)
            agents.add((*key, row["agent_id"]))
    if sums:
        connection.execute(_ADD_UP[connection.dialect.name], rows_text([sums[key] for key in sorted(sums)]))
        _count(connection, sorted(agents))


def _count(connection: Connection, agents: Sequence[tuple[str, str, str]]) -> None:
    """Those that are new, to their sessions."""
    rows = [dict(zip(("access_key_id", "session_id", "agent_id"), agent, strict=True)) for agent in agents]
    new: dict[Key, int] = {}
    for row in connection.execute(_INSERT_AGENTS[connection.dialect.name], rows_text(rows)):
        key = (row.access_key_id, row.session_id)
        new[key] = new.get(key, 0) + 1
    if new:  # their rows are ours by now, so the order is no matter
        counted = [{"access_key_id": key, "session_id": session, "agents": number} for (key, session), number in new.items()]
        connection.execute(_ADD_AGENTS[connection.dialect.name], rows_text(counted))


def _sums_of(row: Mapping[str, Any]) -> dict[str, Any]:
    provider, fault, at = row["provider"], row["fault"], row["started_at"]
    fell_back = is_fallback(provider, fault)
    counts = (
        1,
        int(is_error(row["status"], provider, fault)),
        int(fell_back),
        int(provider == ProviderName.PLAN),
        int(provider == ProviderName.BEDROCK),
        sum(row[name] for name in _TAKEN),
        row["output_tokens"],
        row["cost_micros"],
        row["list_value_micros"],
    )
    named = {name: row[name] for name in ("access_key_id", "session_id", "user_id")}
    why = {"fell_back_at": at if fell_back else None, "fault": fault if fell_back else ""}
    return {**named, "first_at": at, "last_at": at, **why, "agents": 0, **dict(zip(_ADDED, counts, strict=True))}


def _joined(sums: dict[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    more = _sums_of(row)
    joined = {**sums, **{name: sums[name] + more[name] for name in _ADDED}}
    joined["first_at"], joined["last_at"] = min(sums["first_at"], more["first_at"]), max(sums["last_at"], more["last_at"])
    if (more["fell_back_at"] or "") > (sums["fell_back_at"] or ""):
        joined["fell_back_at"], joined["fault"] = more["fell_back_at"], more["fault"]
    return joined


def _add_up(dialect: str) -> Any:
    insert = insert_of(claude_sessions, dialect)
    old, new = claude_sessions.c, insert.excluded
    is_later = and_(new.fell_back_at.is_not(None), or_(old.fell_back_at.is_(None), old.fell_back_at <= new.fell_back_at))
    changes: dict[str, Any] = {name: old[name] + new[name] for name in _ADDED}
    changes |= {name: case((is_later, new[name]), else_=old[name]) for name in ("fell_back_at", "fault")}
    changes["first_at"] = case((old.first_at <= new.first_at, old.first_at), else_=new.first_at)
    changes["last_at"] = case((old.last_at >= new.last_at, old.last_at), else_=new.last_at)
    return insert.on_conflict_do_update(index_elements=[old.access_key_id, old.session_id], set_=changes)


def _insert_agents(dialect: str) -> Any:
    table = claude_agents.c
    insert = insert_of(claude_agents, dialect).on_conflict_do_nothing()
    return insert.returning(table.access_key_id, table.session_id)


def _add_agents(dialect: str) -> Any:
    """By the key alone: of a list of pairs SQLite would compare each row of the table."""
    table = claude_sessions.c
    new = rows_as([table.access_key_id, table.session_id, table.agents], dialect).subquery("new").c
    mine = and_(table.access_key_id == new.access_key_id, table.session_id == new.session_id)
    return update(claude_sessions).where(mine).values(agents=table.agents + new.agents)


_ADD_UP = MappingProxyType({dialect: _add_up(dialect) for dialect in DIALECTS})
_INSERT_AGENTS = MappingProxyType({dialect: _insert_agents(dialect) for dialect in DIALECTS})
_ADD_AGENTS = MappingProxyType({dialect: _add_agents(dialect) for dialect in DIALECTS})
