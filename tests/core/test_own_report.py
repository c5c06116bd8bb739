"""What the tables know of one key, on both databases: its own requests, and its user's spend."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.db import Database
from core.ledger import write_batch
from core.own_report import REQUESTS_SHOWN, OwnReport, own_report
from core.plan_window_rows import write_windows
from core.plan_windows import PlanWindow, PlanWindows
from core.record import RequestRecord
from tests.core.office import NOW

MONTH = NOW.strftime("%Y-%m")
SEEN = PlanWindows(NOW.timestamp(), "allowed", windows=(PlanWindow("5h", "allowed", 0.5),))


def record(number: int, **more: Any) -> RequestRecord:
    """A second after the one before."""
    plain = RequestRecord(f"req_{number:026d}", NOW.timestamp() + number, "usr_1", "key_1", provider="bedrock", status=200)
    return replace(plain, **more)


def report(database: Database, *records: RequestRecord) -> OwnReport:
    database.run(lambda connection: write_batch(connection, records))
    return database.read(lambda connection: own_report(connection, "usr_1", "key_1", MONTH))


def test_a_key_that_was_never_used_has_an_empty_report(database: Database) -> None:
    found = report(database)
    assert (found.windows, found.spent_by_user, found.spent_by_key) == (None, 0, 0)
    assert (found.requests, found.sessions.lines) == ((), ())


def test_only_its_own_windows_and_requests_are_in_it(database: Database) -> None:
    database.run(lambda connection: write_windows(connection, {"key_1": SEEN, "key_2": replace(SEEN, status="rejected")}))
    found = report(database, record(1), record(2, access_key_id="key_2"), record(3, access_key_id="key_3", user_id="usr_2"))
    assert (found.windows, [each.request_id[-1] for each in found.requests]) == (SEEN, ["1"])


def test_what_all_keys_of_the_user_spent_is_told_beside_its_own(database: Database) -> None:
    others = record(2, access_key_id="key_2", cost_micros=20), record(3, access_key_id="key_3", user_id="usr_2", cost_micros=300)
    found = report(database, record(1, cost_micros=1), *others)
    assert (found.spent_by_user, found.spent_by_key) == (21, 1)


def test_the_latest_requests_are_shown_without_counting_tokens(database: Database) -> None:
    found = report(database, *[record(n, endpoint="count_tokens" if n % 2 else "messages") for n in range(60)])
    assert [int(each.request_id[4:]) for each in found.requests] == list(range(58, 18, -2))
    assert len(found.requests) == REQUESTS_SHOWN


def test_a_request_is_shown_with_all_that_went_in(database: Database) -> None:
    tokens = {"input_tokens": 1, "cache_write_5m_tokens": 20, "cache_write_1h_tokens": 300, "cache_read_tokens": 4000}
    (found,) = report(database, record(1, model_asked="m", model_served="global.m", output_tokens=9, **tokens)).requests
    assert (found.input_tokens, found.output_tokens, found.model) == (4321, 9, "global.m")
