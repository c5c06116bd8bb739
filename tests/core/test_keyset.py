"""The place where a page ended, as the database is asked for it: a bound that an index of the order begins at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event

from core.audit import Filter, entries
from core.db import Database, open_database
from core.key_list import KeyFilter, key_lines
from core.keyset import Place, cut
from core.request_search import RequestFilter, find_requests
from core.settings import Settings
from tests.core.office import NOW

LATER: Place = (NOW - timedelta(days=1), "x")
LISTS = {
    "ix_requests_started_at": lambda c: find_requests(c, RequestFilter(), 50, LATER),
    "ix_requests_user_started": lambda c: find_requests(c, RequestFilter(user_id="usr_1"), 50, LATER),
    "pk_access_keys": lambda c: key_lines(c, KeyFilter(), NOW, "2026-05", 50, after=("key_5",)),
    "ix_audit_at": lambda c: entries(c, Filter(), 50, LATER),
}


@pytest.fixture
def postgres(postgres_server: Any) -> Iterator[Database]:
    url = postgres_server.migrated()
    database = open_database(Settings(database_url=url), pool_size=1)
    yield database
    database.close()
    postgres_server.drop(url)


def plan_of(connection: Connection, ask: Any) -> str:
    """How PostgreSQL would do what is asked, if rows were too many to read all of them."""
    asked: list[tuple[str, Any]] = []
    event.listen(connection, "before_cursor_execute", lambda *seen: asked.append((seen[2], seen[3])))
    ask(connection)
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
    statement, values = asked[0]
    return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values))


@pytest.mark.parametrize("index", LISTS)
def test_a_page_begins_in_an_index_at_the_place_where_the_one_before_ended(postgres: Database, index: str) -> None:
    plan = postgres.read(lambda connection: plan_of(connection, LISTS[index]))

    scans = plan.partition(f" using {index} ")[2].splitlines()
    assert scans, plan
    assert "Index Cond:" in scans[1] and "<" in scans[1], plan


def test_the_last_page_says_that_it_is_the_last() -> None:
    lines = [("a", (1,)), ("b", (2,)), ("c", (3,))]

    assert (cut(lines, 2).lines, cut(lines, 2).last) == (("a", "b"), (2,))
    assert (cut(lines, 3).lines, cut(lines, 3).has_more) == (("a", "b", "c"), False)
