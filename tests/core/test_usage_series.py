"""Whatever buckets there are, each request is counted in the one it began in: at its edges, too, and on both databases."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.db import Database
from core.ledger import write_batch
from core.record import RequestRecord
from core.usage_series import Scope, series_of
from tests.admin_app.counting import counted

TEN = datetime(2026, 10, 23, 10, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ONE = RequestRecord("req_1", TEN.timestamp(), "usr_1", "key_1", provider="plan", status=200, model_asked="m")
MICROSECOND, MINUTE, HOUR = timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1)

MINUTES = [TEN + each * MINUTE for each in range(180)]
HOURS = [TEN + each * HOUR for each in range(72)]
FIRST_CUT_SHORT = [TEN + 30 * MINUTE, *(TEN + each * HOUR for each in range(1, 9))]
A_LONG_LAST = [TEN, TEN + HOUR]
# Of 24, 24, 25 and 24 hours.
DAYS_AS_CLOCKS_CHANGE = [datetime(2026, 10, day, tzinfo=BERLIN).astimezone(UTC) for day in (23, 24, 25, 26, 27)]


def at_the_edges_of(begins: Sequence[datetime]) -> list[datetime]:
    return [each for begin in begins for each in (begin, begin + MICROSECOND, begin + 17 * MINUTE, begin + HOUR - MICROSECOND)]


def counts(database: Database, scope: Scope, begins: Sequence[datetime]) -> dict[int, int]:
    found = database.read(lambda connection: series_of(connection, scope, "", [""], begins))
    return {number: sums["requests"] for (number, _), sums in found.items()}


@pytest.mark.parametrize("is_fine", [True, False], ids=["records", "hours"])
@pytest.mark.parametrize("begins", [HOURS, A_LONG_LAST, DAYS_AS_CLOCKS_CHANGE], ids=["even", "long_last", "clocks"])
def test_a_request_is_in_the_bucket_it_began_in(database: Database, begins: list[datetime], is_fine: bool) -> None:
    moments = [each for each in at_the_edges_of(begins) if each < begins[-1] + 5 * HOUR]
    records = [replace(ONE, request_id=f"req_{n}", started_at=each.timestamp()) for n, each in enumerate(moments)]
    database.run(lambda connection: write_batch(connection, records))

    found = counts(database, Scope(begins[0], begins[-1] + 5 * HOUR, is_fine=is_fine), begins)
    assert found == Counter(bisect_right(begins, each) - 1 for each in moments)


@pytest.mark.parametrize("begins", [MINUTES, FIRST_CUT_SHORT], ids=["minutes", "short_first"])
def test_a_record_is_in_its_minute(database: Database, begins: list[datetime]) -> None:
    moments = [each for each in at_the_edges_of(begins) if each < begins[-1] + HOUR]
    records = [replace(ONE, request_id=f"req_{n}", started_at=each.timestamp()) for n, each in enumerate(moments)]
    database.run(lambda connection: write_batch(connection, records))

    found = counts(database, Scope(begins[0], begins[-1] + HOUR, is_fine=True), begins)
    assert found == Counter(bisect_right(begins, each) - 1 for each in moments)


def test_buckets_of_one_width_are_counted_by_the_same_words_however_many(database: Database) -> None:
    """A hundred comparisons of one statement took the compiler of SQL 60 ms, in which no stream of the worker moved."""
    with counted() as few:
        counts(database, Scope(TEN, TEN + HOUR, is_fine=True), MINUTES[:60])
    with counted() as many:
        counts(database, Scope(TEN, TEN + 3 * HOUR, is_fine=True), MINUTES)

    assert few == many
    assert "GROUP BY" in few[-1]
