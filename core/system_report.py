"""What an operator asks of an installation: schema, sizes of tables, jobs that are due, spool files.

Read-only. Invariant: no table is counted through on PostgreSQL, where a million rows take long; its statistics answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, select, text

from core.models import jobs, metadata

_COUNTED = ("users", "access_keys", "bedrock_keys", "requests", "usage_hourly", "audit", "circuits", "repairs")


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker of all does now and then. `through`: everything older is dealt with."""

    name: str
    due_at: datetime
    through: datetime | None


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """Records on this task's disk that are not in the ledger yet, or could not be written (`.dead`)."""

    name: str
    size_bytes: int


def schema_version(connection: Connection) -> str:
    """The last migration that ran."""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def table_sizes(connection: Connection) -> dict[str, int]:
    """Rows by table: on PostgreSQL estimated, elsewhere counted."""
    if connection.dialect.name == "postgresql":
        query = text("SELECT relname, greatest(n_live_tup, 0) FROM pg_stat_user_tables WHERE relname = ANY(:names)")
        found = {name: int(rows) for name, rows in connection.execute(query, {"names": list(_COUNTED)})}
        return {name: found.get(name, 0) for name in _COUNTED}
    tables = (metadata.tables[name] for name in _COUNTED if name in metadata.tables)
    counts = [select(func.count()).select_from(table).scalar_subquery().label(table.name) for table in tables]
    return {name: int(count) for name, count in connection.execute(select(*counts)).one()._mapping.items()}


def waiting_jobs(connection: Connection) -> list[Job]:
    """By name."""
    return [Job(row.name, row.due_at, row.through) for row in connection.execute(select(jobs).order_by(jobs.c.name))]


def spool_files(folder: Path) -> list[SpoolFile]:
    """Those that hold something."""
    if not folder.is_dir():
        return []
    sizes = ((path.name, path.stat().st_size) for path in sorted(folder.iterdir()) if path.is_file())
    return [SpoolFile(name, size) for name, size in sizes if size]


def server_time(connection: Connection) -> datetime | None:
    """The database's own clock, asked at once; None on SQLite, which has ours."""
    if connection.dialect.name != "postgresql":
        connection.execute(text("SELECT 1"))
        return None
    found: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found
