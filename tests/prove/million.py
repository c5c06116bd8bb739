"""A ledger with a million request records of forty days in PostgreSQL, and how long what is asked of it takes.

Shared by nothing but the proof beside it. The records are made by arithmetic alone, so every run has the same ones.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
from sqlalchemy import Connection, event

from core.db import Database
from core.models import requests
from core.record import RequestRecord

T = TypeVar("T")

RECORDS = 1_000_000
DAYS = 40
NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
USERS, KEYS_A_USER = 500, 2
MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5")
_COLUMNS = tuple(str(column.name) for column in requests.columns)
_CHUNK = 20_000


def record(number: int) -> RequestRecord:
    """Number 0 is the oldest."""
    age = timedelta(days=DAYS) * (RECORDS - number) / RECORDS
    key = number * 7919 % (USERS * KEYS_A_USER)
    on_bedrock = number % 10 < 3
    model = MODELS[number % 3]
    return RequestRecord(
        request_id=f"req_{number:026d}",
        started_at=(NOW - age).timestamp(),
        user_id=f"usr_{key // KEYS_A_USER:05d}",
        access_key_id=f"key_{key:05d}",
        endpoint="count_tokens" if number % 4 == 3 else "messages",
        session_id=f"session-{key // KEYS_A_USER}-{number // 20_000}",
        provider="bedrock" if on_bedrock else "plan",
        fault="plan_exhausted" if on_bedrock else "",
        trace="plan:plan_exhausted; bedrock:200" if on_bedrock else "plan:200",
        model_asked=model,
        model_served=f"us.anthropic.{model}" if on_bedrock else "",
        streamed=True,
        status=529 if number % 97 == 0 else 200,
        input_tokens=number % 5000,
        output_tokens=number % 700,
        cache_read_tokens=number % 50_000,
        cost_micros=number % 90_000 if on_bedrock else 0,
        list_value_micros=number % 90_000,
        first_byte_ms=120.5,
        total_ms=4200.25,
        overhead_ms=1.5,
    )


def load(url: str, database: Database) -> None:
    """All records by COPY, a chunk at a time; their hourly sums by one statement; statistics as autovacuum would have them."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for first in range(0, RECORDS, _CHUNK):
            chunk = "".join(_line(record(number)) for number in range(first, first + _CHUNK))
            cursor.copy_expert(f"COPY requests ({','.join(_COLUMNS)}) FROM STDIN", io.StringIO(chunk))
        cursor.execute(_SUMS)
        cursor.execute(_SESSIONS)
    connection.autocommit = True
    connection.cursor().execute("VACUUM ANALYZE requests, usage_hourly, claude_sessions")
    connection.close()


def _line(one: RequestRecord) -> str:
    values = {name: getattr(one, name) for name in _COLUMNS}
    values["started_at"] = datetime.fromtimestamp(one.started_at, UTC).isoformat()
    return "\t".join(str(value) for value in values.values()) + "\n"


_SUMS = """
INSERT INTO usage_hourly
SELECT date_trunc('hour', started_at, 'UTC'), access_key_id, provider, coalesce(nullif(model_served, ''), model_asked),
  min(user_id), count(*), count(*) FILTER (WHERE status >= 500), count(*) FILTER (WHERE provider = 'bedrock'),
  sum(input_tokens), sum(output_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens), sum(cache_read_tokens),
  sum(cost_micros), sum(list_value_micros)
FROM requests GROUP BY 1, 2, 3, 4
"""
_SESSIONS = """
INSERT INTO claude_sessions
SELECT access_key_id, session_id, min(user_id), min(started_at), max(started_at),
  max(started_at) FILTER (WHERE provider = 'bedrock'), 'plan_exhausted', 1, count(*), count(*) FILTER (WHERE status >= 500),
  count(*) FILTER (WHERE provider = 'bedrock'), count(*) FILTER (WHERE provider = 'plan'),
  count(*) FILTER (WHERE provider = 'bedrock'), sum(input_tokens + cache_read_tokens), sum(output_tokens), sum(cost_micros),
  sum(list_value_micros)
FROM requests WHERE endpoint = 'messages' GROUP BY 1, 2
"""


@dataclass(frozen=True)
class Took:
    """`grown_mb` is by how much this process had to grow for it."""

    name: str
    seconds: float
    grown_mb: float

    def __str__(self) -> str:
        return f"{self.name:<58} {self.seconds * 1000:10.1f} ms {self.grown_mb:8.1f} MB"


def timed(name: str, work: Callable[[], T]) -> tuple[T, Took]:
    _reset_peak()
    before, began = _status_mb("VmRSS"), time.perf_counter()
    result = work()
    return result, Took(name, time.perf_counter() - began, max(0.0, _status_mb("VmHWM") - before))


def best_of(count: int, name: str, work: Callable[[], Any]) -> Took:
    """The quickest: what it takes when nobody else is at work."""
    return min((timed(name, work)[1] for _ in range(count)), key=lambda took: took.seconds)


def plans_of(database: Database, work: Callable[[Connection], Any]) -> list[str]:
    """How PostgreSQL went about each statement of `work`, which is run and taken back."""
    said: list[tuple[str, Any]] = []

    def explain(connection: Connection) -> list[str]:
        event.listen(connection, "before_cursor_execute", lambda *args: said.append((args[2], args[3])))
        savepoint = connection.begin_nested()
        work(connection)
        statements = [each for each in said if re.match(r"\s*(SELECT|DELETE|INSERT|UPDATE)", each[0])]
        savepoint.rollback()
        return [_explained(connection, *statement) for statement in statements]

    return database.run(explain)


def _explained(connection: Connection, statement: str, parameters: Any) -> str:
    savepoint = connection.begin_nested()
    rows = (
        connection.exec_driver_sql(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) {statement}", parameters)
        .scalars()
        .all()
    )
    savepoint.rollback()
    return "\n".join(rows)


def lines_of(plans: list[str]) -> Iterator[str]:
    yield from (line for plan in plans for line in plan.splitlines())


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status_mb(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024
