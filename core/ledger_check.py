"""Whether the ledger agrees with itself: request records against hourly sums, and what still waits outside of it.

Read-only. Knows the tables and the files of the spool folder. Invariants: the comparison is one statement, so that traffic
makes no false alarm; what comes back is bounded, whatever the tables hold; hours whose records were purged are left alone; a
spool is only looked at, also that of a living worker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, String, and_, case, func, literal, or_, select, type_coerce, union_all

from core.ledger import SUMMED
from core.models import requests, usage_hourly
from core.record import RequestRecord
from core.retention import purged_through
from core.spool import SUFFIX
from core.types import ProviderName

MOST_SHOWN = 100
_KEY = ("hour", "access_key_id", "provider", "model")


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one hour, key, provider and model: what the records say less what the sums say, where that is not 0."""

    hour: datetime
    access_key_id: str
    provider: str
    model: str
    off_by: dict[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`differences` are the first of `total`. `checked_from` is where records begin that were not purged."""

    differences: tuple[Difference, ...]
    total: int
    records: int
    checked_from: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What lies in a spool folder. `damaged` lines are lost; `dead` records were set aside, since no database takes them."""

    spools: int = 0
    records: int = 0
    damaged: int = 0
    dead: int = 0


def compare(connection: Connection, since: datetime | None = None, until: datetime | None = None) -> Verdict:
    """Records against sums in the hours from `since` to before `until` (both UTC hours; None: no bound)."""
    mark = purged_through(connection)
    since = max(filter(None, (since, mark)), default=None)
    counted = connection.execute(
        select(func.count()).select_from(requests).where(*_within(requests.c.started_at, since, until))
    ).scalar_one()
    both = union_all(_of_records(connection, since, until), _of_sums(connection, since, until)).subquery()
    off = {name: func.sum(both.c[name]) for name in SUMMED}
    keys = [both.c[name] for name in _KEY]
    columns = [*keys, *(total.label(name) for name, total in off.items()), func.count().over().label("total")]
    differing = select(*columns).group_by(*keys).having(or_(*(total != 0 for total in off.values())))
    rows = connection.execute(differing.order_by(*keys).limit(MOST_SHOWN)).all()
    return Verdict(tuple(map(_difference, rows)), rows[0].total if rows else 0, counted, since)


def look_into_spools(directory: Path) -> Waiting:
    """A moment's picture; a worker may be writing. The end of a line that is being written is not counted."""
    spools = records = damaged = 0
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        spools += 1
        for line in _lines_left(path):
            whole = line[:9] == b"%08x " % crc32(line[9:])
            records += whole
            damaged += not whole
    return Waiting(spools, records, damaged, sum(1 for _ in _lines_of(directory / "dead-letters.jsonl", 0)))


def ids_in_spools(directory: Path, wanted: Collection[str]) -> set[str]:
    """Which of these requests have a record there."""
    if not wanted:
        return set()
    lines = (line for path in sorted(directory.glob(f"*{SUFFIX}")) for line in _lines_left(path))
    return {found for line in lines if (found := _id_in(line)) in wanted}


def _of_records(connection: Connection, since: datetime | None, until: datetime | None) -> Any:
    """The same arithmetic as in core/ledger.py, in SQL."""
    table = requests.c
    gone = table.fault == "client_gone"
    failed = or_(table.status >= 500, table.fault == "stream_broken", and_(table.provider == "", table.status >= 400))
    fallen = and_(table.provider == ProviderName.BEDROCK, table.fault.startswith("plan\\_", escape="\\"))
    amounts = [func.sum(table[name]) for name in SUMMED[3:]]
    counts = [func.count(), func.sum(case((and_(~gone, failed), 1), else_=0)), func.sum(case((fallen, 1), else_=0))]
    model = func.coalesce(func.nullif(table.model_served, ""), table.model_asked)
    keys = [_hour_of(connection, table.started_at), table.access_key_id, table.provider, model]
    named = [column.label(name) for column, name in zip([*keys, *counts, *amounts], [*_KEY, *SUMMED], strict=True)]
    return select(*named).where(*_within(table.started_at, since, until)).group_by(*keys)


def _of_sums(connection: Connection, since: datetime | None, until: datetime | None) -> Any:
    table = usage_hourly.c
    keys = [_hour_of(connection, table.hour), table.access_key_id, table.provider, table.model]
    return select(*keys, *(literal(0) - table[name] for name in SUMMED)).where(*_within(table.hour, since, until))


def _hour_of(connection: Connection, column: Any) -> Any:
    """As the databases group it fastest: PostgreSQL by the moment, SQLite by the beginning of its text."""
    if connection.dialect.name == "postgresql":
        return func.date_trunc("hour", column, "UTC")
    return func.substr(type_coerce(column, String), 1, 13)


def _within(column: Any, since: datetime | None, until: datetime | None) -> list[Any]:
    return [*([column >= since] if since else []), *([column < until] if until else [])]


def _difference(row: Any) -> Difference:
    hour = row.hour if isinstance(row.hour, datetime) else datetime.fromisoformat(f"{row.hour}:00")
    hour = hour.astimezone(UTC) if hour.tzinfo else hour.replace(tzinfo=UTC)
    off_by = {name: int(row._mapping[name]) for name in SUMMED if row._mapping[name]}
    return Difference(hour, row.access_key_id, row.provider, row.model, off_by)


def _id_in(line: bytes) -> str:
    try:
        return RequestRecord.from_json(line[9:]).request_id
    except ValueError:
        return ""


def _lines_left(path: Path) -> Iterator[bytes]:
    """Of a spool: what is behind its offset, if that is right."""
    try:
        offset = int(path.with_suffix(".offset").read_text(encoding="ascii"))
    except (OSError, ValueError):
        offset = 0
    try:
        offset = offset if 0 <= offset <= path.stat().st_size else 0
    except OSError:
        return
    yield from _lines_of(path, offset)


def _lines_of(path: Path, offset: int) -> Iterator[bytes]:
    """Whole lines without their ends; none of a file that is not there."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]
    except FileNotFoundError:
        return
