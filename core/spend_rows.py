"""What keys have spent on Bedrock this month, what workers have reserved, and which warnings were given.

Three tables, functions on a Connection. `spend_monthly` is summed up in the ledger's own transaction, so it cannot disagree
with the rows; `spend_pending` holds what each worker has in flight or not flushed yet, and dies with the worker: a row that
was not written again for `SILENT_AFTER` counts no more. Invariant: rows are written in the order of their keys, so that workers
cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, func, insert, select

from core.budget import month_name
from core.db import insert_new, upsert
from core.models import access_keys, users
from core.spend_models import budget_warnings, spend_monthly, spend_pending
from core.types import ProviderName

SILENT_AFTER = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose spend it is."""

    user_id: str
    access_key_id: str


def add_spend(connection: Connection, ledger_rows: Iterable[Mapping[str, Any]], zone: ZoneInfo) -> None:
    """Sum up what these newly inserted rows cost, by the month in which each request began (`started_at`: UTC, ISO text)."""
    sums: dict[tuple[str, str], int] = {}
    users: dict[str, str] = {}
    for row in ledger_rows:
        if row["provider"] == ProviderName.BEDROCK and row["cost_micros"]:
            month = month_name(datetime.fromisoformat(row["started_at"]).replace(tzinfo=UTC), zone)
            key = (month, row["access_key_id"])
            sums[key] = sums.get(key, 0) + row["cost_micros"]
            users[row["access_key_id"]] = row["user_id"]
    rows = [
        {"month": month, "access_key_id": access_key_id, "user_id": users[access_key_id], "cost_micros": micros}
        for (month, access_key_id), micros in sorted(sums.items())
    ]
    upsert(connection, spend_monthly, rows, ["month", "access_key_id"], adding={"cost_micros"})


def spent_in(connection: Connection, month: str, user_ids: Collection[str]) -> dict[Owner, int]:
    """Micro-dollars by key, of all keys of these users."""
    table = spend_monthly.c
    query = select(table.user_id, table.access_key_id, table.cost_micros)
    rows = connection.execute(query.where(table.month == month, table.user_id.in_(user_ids)))
    return {Owner(row.user_id, row.access_key_id): row.cost_micros for row in rows}


def pending_elsewhere(connection: Connection, worker_id: str, user_ids: Collection[str], now: datetime) -> dict[Owner, int]:
    """What living workers but this one have in flight or not flushed. Read it before `spent_in`: nothing falls between."""
    table = spend_pending.c
    query = select(table.user_id, table.access_key_id, func.sum(table.micros).label("micros"))
    query = query.where(table.worker_id != worker_id, table.seen_at > now - SILENT_AFTER, table.user_id.in_(user_ids))
    rows = connection.execute(query.group_by(table.user_id, table.access_key_id))
    return {Owner(row.user_id, row.access_key_id): int(row.micros) for row in rows}


def write_pending(connection: Connection, worker_id: str, pending: Mapping[Owner, int], now: datetime) -> None:
    """All that this worker has, in place of what it said before. Sweeps up after workers that died."""
    table = spend_pending.c
    connection.execute(delete(spend_pending).where((table.worker_id == worker_id) | (table.seen_at < now - 10 * SILENT_AFTER)))
    rows = [
        {"worker_id": worker_id, "access_key_id": owner.access_key_id, "user_id": owner.user_id, "micros": micros, "seen_at": now}
        for owner, micros in sorted(pending.items(), key=lambda item: item[0].access_key_id)
        if micros
    ]
    if rows:
        connection.execute(insert(spend_pending), rows)


@dataclass(frozen=True, slots=True)
class DueWarning:
    """That so many per cent of a budget are used in this month. `access_key_id` is empty for the budget of a user."""

    month: str
    user_id: str
    access_key_id: str
    percent: int


def first_warning(connection: Connection, due: DueWarning, budget_micros: int, now: datetime) -> bool | None:
    """Whether nobody has given this warning yet; from now on somebody has. None: such a budget is not in force (any more)."""
    table, holder = (access_keys, due.access_key_id) if due.access_key_id else (users, due.user_id)
    in_force = select(table.c.monthly_budget_micros).where(table.c.id == holder)
    in_force = in_force.with_for_update(read=True)  # who changes it waits for us, and forgets this warning, too
    if connection.execute(in_force).scalar() != budget_micros:
        return None
    row = {"month": due.month, "holder": holder, "percent": due.percent, "created_at": now}
    return insert_new(connection, budget_warnings, row)


def forget_warnings(connection: Connection, holder: str) -> None:
    """The budget of this user or key is another one now, which is to be warned of anew."""
    connection.execute(delete(budget_warnings).where(budget_warnings.c.holder == holder))
