"""The tables `plan_windows` (as last seen, a row a key and window) and `plan_window_history` (a row a quarter of an hour).

Functions on a Connection. Knows rows, not headers. Invariant: rows of one call are written in the order of their keys, so
that workers cannot deadlock; two workers that saw the same key within a second may write in either order, which the next
answer mends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, literal, null, select, union_all

from core.db import upsert
from core.models import access_keys
from core.plan_windows import PlanWindow, PlanWindows
from core.spend_models import plan_window_history, plan_windows
from core.threads import paced

HISTORY_STEP = timedelta(minutes=15)
_WHOLE = ""  # the row that says what holds for all windows
_MOST_ROWS = 5000


@dataclass(frozen=True, slots=True)
class PlanSeen:
    """The plan as last seen through one key, and (quarter of an hour, window, the last share seen in it), oldest first."""

    access_key_id: str
    windows: PlanWindows
    history: tuple[tuple[datetime, str, float], ...]


def write_windows(connection: Connection, seen: Mapping[str, PlanWindows]) -> None:
    """`seen` by access key id. A window that is no longer mentioned keeps its row; its `seen_at` tells its age."""
    rows = [row for access_key_id in sorted(seen) for row in _rows(access_key_id, seen[access_key_id])]
    upsert(connection, plan_windows, rows, ["access_key_id", "window"])
    points = [_point(row) for row in rows if row["window"] != _WHOLE and row["utilization"] is not None]
    upsert(connection, plan_window_history, points, ["access_key_id", "window", "at"])


def windows_since(connection: Connection, moment: datetime) -> dict[str, PlanWindows]:
    """By access key id, what was seen at that moment or later; of very many, the latest."""
    changed = select(plan_windows.c.access_key_id).where(plan_windows.c.window == _WHOLE, plan_windows.c.seen_at >= moment)
    changed = changed.order_by(plan_windows.c.seen_at.desc()).limit(_MOST_ROWS)
    found: dict[str, list[Row[Any]]] = {}
    for row in paced(connection.execute(select(plan_windows).where(plan_windows.c.access_key_id.in_(changed)))):
        found.setdefault(row.access_key_id, []).append(row)
    return {access_key_id: windows for access_key_id, rows in paced(found.items()) if (windows := _windows(rows)) is not None}


def windows_of(connection: Connection, access_key_id: str) -> PlanWindows | None:
    """As last seen of this key."""
    query = select(plan_windows).where(plan_windows.c.access_key_id == access_key_id)
    return _windows(connection.execute(query).all())


def history(connection: Connection, access_key_id: str, since: datetime) -> list[tuple[datetime, str, float]]:
    """(quarter of an hour, window, the last share seen in it), oldest first: what a chart is drawn from."""
    table = plan_window_history.c
    query = select(table.at, table.window, table.utilization).where(table.access_key_id == access_key_id, table.at >= since)
    return [(row.at, row.window, row.utilization) for row in connection.execute(query.order_by(table.at, table.window))]


def plan_of(connection: Connection, since: datetime, *, user_id: str = "", access_key_id: str = "") -> PlanSeen | None:
    """The plan behind a key, or behind the key of a user that was seen last; its history from `since` on. One query; None where
    nothing was ever told."""
    table, past = plan_windows.c, plan_window_history.c
    latest = select(table.access_key_id).where(table.window == _WHOLE).order_by(table.seen_at.desc()).limit(1)
    owned = table.access_key_id == access_key_id
    if not access_key_id:
        owned = table.access_key_id.in_(select(access_keys.c.id).where(access_keys.c.user_id == user_id))
    holder = latest.where(owned).scalar_subquery()
    told = select(*plan_windows.c, literal(False).label("is_past")).where(table.access_key_id == holder)
    nothing = [null().label(name) for name in ("status", "claim", "in_use")]
    points = (past.access_key_id, past.window, *nothing, past.utilization, null().label("resets_at"), past.at)
    history_of = select(*points, literal(True)).where(past.access_key_id == holder, past.at >= since)
    both = union_all(told, history_of).order_by("is_past", "seen_at", "window")  # to sort them here would hold the event loop
    rows = list(paced(connection.execute(both.limit(_MOST_ROWS))))
    windows = _windows([row for row in rows if not row.is_past])
    if windows is None:
        return None
    past_rows = tuple((row.seen_at, row.window, row.utilization) for row in paced(rows) if row.is_past)
    return PlanSeen(rows[0].access_key_id, windows, past_rows)


def _rows(access_key_id: str, seen: PlanWindows) -> Sequence[dict[str, Any]]:
    shared = {"access_key_id": access_key_id, "seen_at": datetime.fromtimestamp(seen.seen_at, UTC)}
    whole = {"window": _WHOLE, "status": seen.status, "claim": seen.claim, "in_use": seen.overage_in_use}
    rows = [{**shared, **whole, "utilization": None, "resets_at": None}]
    for window in seen.windows:
        resets_at = None if window.resets_at is None else datetime.fromtimestamp(window.resets_at, UTC)
        said = {"window": window.name, "status": window.status, "claim": "", "in_use": False}
        rows.append({**shared, **said, "utilization": window.utilization, "resets_at": resets_at})
    return rows


def _point(row: Mapping[str, Any]) -> dict[str, Any]:
    step_s = HISTORY_STEP.total_seconds()
    at = datetime.fromtimestamp(row["seen_at"].timestamp() // step_s * step_s, UTC)
    return {"access_key_id": row["access_key_id"], "window": row["window"], "at": at, "utilization": row["utilization"]}


def _windows(rows: Sequence[Row[Any]]) -> PlanWindows | None:
    whole = next((row for row in rows if row.window == _WHOLE), None)
    if whole is None:
        return None
    windows = (
        PlanWindow(row.window, row.status, row.utilization, None if row.resets_at is None else row.resets_at.timestamp())
        for row in sorted(rows, key=lambda row: row.window)
        if row.window != _WHOLE and row.seen_at == whole.seen_at
    )
    return PlanWindows(whole.seen_at.timestamp(), whole.status, whole.claim, whole.in_use, tuple(windows))
