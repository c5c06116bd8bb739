"""With a million request records in PostgreSQL every question is answered out of an index, and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from core.dashboard import latency_of
from core.db import Database, open_database, take_time
from core.kept import request_records
from core.ledger import write_batch
from core.ledger_check import Verdict, compare
from core.models import requests
from core.request_search import RequestFilter, find_requests
from core.retention import delete_batch, purge
from core.session_list import Answered, SessionFilter, count_sessions, find_sessions
from core.session_report import Whose, latest_sessions, session_tree
from core.settings import Settings
from core.usage_report import GROUPS, usage_between
from core.usage_series import Scope, groups_in, series_of
from tests import machine
from tests.prove import million
from tests.prove.million import MODELS, NOW, RECORDS, Took, best_of, lines_of, plans_of, timed

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1200)]

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
MOST_GROWN_MB = 64.0
WEEK = Scope(NOW - timedelta(days=7), NOW)
HOURS = Scope(NOW - timedelta(hours=3), NOW, is_fine=True)
MINUTES = [HOURS.since + timedelta(minutes=number) for number in range(180)]


@pytest.fixture(scope="module")
def ledger(postgres_server: Any) -> Iterator[Database]:
    url = postgres_server.migrated()
    database = open_database(Settings(database_url=url), pool_size=1)
    million.load(url, database)
    yield database
    database.close()
    postgres_server.drop(url)


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[Any], None]:
    """Figures are printed whether or not a test fails: they are what this run is for."""

    def told(what: Any) -> None:
        with capsys.disabled():
            print(f"\n{what}", end="")

    return told


def assert_quick(took: Took, most_s: float, tell: Callable[[Any], None]) -> None:
    tell(took)
    assert took.seconds < most_s * machine.slowness()
    assert took.grown_mb < MOST_GROWN_MB


def of_one(connection: Connection, column: str, value: str) -> Any:
    """A page of the requests of one user or key."""
    wanted = select(requests).where(requests.c[column] == value).order_by(requests.c.started_at.desc()).limit(50)
    return connection.execute(wanted).all()


QUESTIONS: dict[str, tuple[float, Callable[[Connection], Any]]] = {
    "latest 50 requests": (0.1, lambda c: find_requests(c, RequestFilter(), 50)),
    "latency of the latest answers": (0.1, lambda c: latency_of(c, NOW - timedelta(days=7))),
    "a week by user, the largest hundred": (1.0, lambda c: groups_in(c, WEEK, "user", "requests", 100)),
    "three hours by the minute": (0.5, lambda c: series_of(c, HOURS, "model", MODELS, MINUTES)),
    "latest 50 requests of a user": (0.1, lambda c: of_one(c, "user_id", "usr_00042")),
    "latest 50 requests of a key": (0.1, lambda c: of_one(c, "access_key_id", "key_00042")),
    "latest 50 sessions of all": (0.1, lambda c: find_sessions(c, SessionFilter(), 50)),
    "latest 50 sessions with errors": (0.1, lambda c: find_sessions(c, SessionFilter(answered=Answered.ERRORS), 50)),
    "latest 50 sessions of a user, out of the sums": (0.1, lambda c: find_sessions(c, SessionFilter(user_id="usr_00042"), 50)),
    "how many sessions there are": (0.1, lambda c: count_sessions(c, SessionFilter())),
    "latest sessions of a user": (0.2, lambda c: latest_sessions(c, Whose(user_id="usr_00042"))),
    "latest sessions of a key": (0.2, lambda c: latest_sessions(c, Whose(access_key_id="key_00042"))),
    "the agents of a session": (0.1, lambda c: session_tree(c, Whose(user_id="usr_00042"), "session-42-49")),
    "a day's sums by user, key, model and provider": (1.0, lambda c: usage_between(c, NOW - timedelta(days=1), NOW, GROUPS)),
    "the month's sums by provider": (2.0, lambda c: usage_between(c, MONTH, NOW, ("provider",))),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_report_is_quick_and_no_plan_reads_all_records(ledger: Database, name: str, tell: Callable[[Any], None]) -> None:
    most_s, question = QUESTIONS[name]
    took = best_of(3, name, lambda: ledger.read(question))
    plans = plans_of(ledger, question)
    tell("\n".join(plans[-1:]))
    assert_quick(took, most_s, tell)
    assert [line for line in lines_of(plans) if "Seq Scan on requests" in line] == []


def test_a_batch_with_its_sums_is_written_as_quickly_as_into_an_empty_ledger(
    ledger: Database, tell: Callable[[Any], None]
) -> None:
    batches = iter(range(20))

    def write() -> int:
        first = next(batches) * 250
        late = [replace(million.record(RECORDS - 1 - n), request_id=f"req_late_{first + n:06d}") for n in range(250)]
        return ledger.run(lambda connection: write_batch(connection, late))

    assert_quick(best_of(5, "250 records with their sums", write), 0.25, tell)


def checked(ledger: Database) -> Verdict:
    def work(connection: Connection) -> Verdict:
        take_time(connection)
        return compare(connection)

    return ledger.read(work)


def test_all_records_are_compared_with_their_sums(ledger: Database, tell: Callable[[Any], None]) -> None:
    verdict, took = timed("ledger verify, a million records", lambda: checked(ledger))
    assert (verdict.total, verdict.records >= RECORDS) == (0, True)
    assert_quick(took, 60.0, tell)


def test_thirty_days_stay_and_ten_days_go_in_short_transactions(ledger: Database, tell: Callable[[Any], None]) -> None:
    before = NOW - timedelta(days=30)
    plans = plans_of(ledger, lambda connection: delete_batch(connection, request_records(30), before, 1000))
    tell("\n".join(plans))
    assert [line for line in lines_of(plans) if "Seq Scan on requests" in line] == []
    rests: list[float] = []
    purged, took = timed(
        "retention: a quarter of a million records, without rests", lambda: purge(ledger, request_records(30), NOW, rests.append)
    )
    assert abs(purged - RECORDS // 4) < 2000 and len(rests) == purged // 1000
    assert_quick(took, 120.0, tell)
    assert checked(ledger).total == 0
