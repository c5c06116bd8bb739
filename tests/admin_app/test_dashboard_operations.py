"""The dashboard's figures, and what it says needs attention; on both databases, in a fixed number of queries."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from admin_app import dashboard_operations as does
from admin_app.dashboard_view import notes_of
from core import bedrock_keys, circuit_rows
from core.circuit_rows import CircuitRow
from core.dashboard import Attention
from core.db import Database
from core.heartbeat import Load, Worker, WorkerSeen
from core.ledger import write_batch
from core.plan_window_rows import write_windows
from core.plan_windows import PlanWindow, PlanWindows
from core.ports import ProbeResult
from core.record import RequestRecord
from core.spend_rows import Owner
from core.users import Profile, User, change_user
from tests.admin_app.counting import counted
from tests.admin_app.desk import Desk
from tests.core.office import NOW, Office

DAY = timedelta(days=1)
SOMEBODY = Owner("usr_1", "key_1")
LAST_MONTH = NOW - timedelta(days=15)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def write(desk: Desk, *records: RequestRecord) -> None:
    desk.database.run(lambda connection: write_batch(connection, records))


def one(number: int, owner: Owner = SOMEBODY, **changes: Any) -> RequestRecord:
    base = RequestRecord(f"req_{number}", NOW.timestamp(), owner.user_id, owner.access_key_id, provider="plan", status=200)
    return replace(base, **changes)


def set_budget(office: Office, user: User, micros: int) -> None:
    wanted = replace(user, profile=Profile(monthly_budget_micros=micros))
    office.database.run(lambda c: change_user(c, user.id, lambda _: wanted, NOW))


def attention(desk: Desk, kind: str) -> list[Attention]:
    return [each for each in desk.does(does.GET).attention if each.kind == kind]


def test_an_empty_installation_has_steps_and_no_worries(desk: Desk) -> None:
    shown = desk.does(does.GET)
    assert (shown.total.requests, shown.series, shown.attention, shown.latency.count) == (0, [], [], 0)
    assert shown.steps is not None and len(shown.workers) == 1


def test_figures_are_of_the_range_and_by_who_answered(desk: Desk) -> None:
    long_ago = (NOW - 2 * DAY).timestamp()
    on_bedrock = {"provider": "bedrock", "fault": "plan_exhausted", "cost_micros": 500_000, "list_value_micros": 400_000}
    write(desk, one(1, list_value_micros=3_000_000), one(2, **on_bedrock), one(3, provider="", status=503))
    write(desk, one(4, list_value_micros=7_000_000, started_at=long_ago))

    day, week = desk.does(does.GET, range="24h"), desk.does(does.GET, range="7d")

    assert (day.total.requests, day.total.errors, day.total.fallbacks, day.total.cost_usd) == (3, 1, 1, Decimal("0.5"))
    assert (day.plan_value_usd, week.plan_value_usd, week.total.requests) == (3, 10, 4)
    assert [each.id for each in day.series] == ["plan", "bedrock", ""]


def test_spend_is_by_month_and_by_user(desk: Desk, office: Office) -> None:
    ada, grace = office.add("ada"), office.add("grace")
    cost = {"provider": "bedrock", "cost_micros": 1_000_000}
    write(
        desk, one(1, Owner(ada.id, "key_1"), **cost), one(2, Owner(grace.id, "key_2"), provider="bedrock", cost_micros=3_000_000)
    )
    write(desk, one(3, Owner(ada.id, "key_3"), **cost), one(4, Owner(ada.id, "key_1"), started_at=LAST_MONTH.timestamp(), **cost))

    shown = desk.does(does.GET)

    assert (shown.spent_this_month_usd, shown.spent_last_month_usd) == (5, 1)
    assert [(each.name, each.cost_micros) for each in shown.spend.top] == [("grace", 3_000_000), ("ada", 2_000_000)]


def test_latency_is_of_good_answers_alone(desk: Desk) -> None:
    write(desk, *[one(number, first_byte_ms=float(number), overhead_ms=number / 100) for number in range(1, 101)])
    write(desk, one(200, first_byte_ms=9e5, status=529), one(201, first_byte_ms=9e5, endpoint="count_tokens"))
    latency = desk.does(does.GET).latency
    assert (latency.count, latency.first_byte_p50, latency.first_byte_p95, latency.overhead_p95) == (100, 51.0, 96.0, 0.96)


def test_the_fullest_plans_come_first_and_a_window_that_was_reset_is_empty(desk: Desk, office: Office) -> None:
    keys = [office.issue(office.add(f"user {number}")) for number in range(3)]
    later, over = NOW.timestamp() + 3600, NOW.timestamp() - 1
    windows = [((0.5, later), (0.9, later)), ((0.81, later), (0.1, later)), ((1.0, over), (0.2, later))]
    seen = {
        key.id: PlanWindows(NOW.timestamp(), "allowed", windows=(PlanWindow("5h", "", *five), PlanWindow("7d", "", *seven)))
        for key, (five, seven) in zip(keys, windows, strict=True)
    }
    desk.database.run(lambda connection: write_windows(connection, seen))

    plans = desk.does(does.GET).plans

    assert (plans.told, plans.full) == (3, 2)
    assert [(each.user_name, each.share) for each in plans.fullest] == [("user 0", 0.9), ("user 1", 0.81), ("user 2", 0.2)]


def test_of_many_plans_that_are_nearly_full_all_are_counted_and_the_fullest_told(desk: Desk, office: Office) -> None:
    users = [office.add(f"user {number}") for number in range(3)]
    keys = [office.issue(user) for user in users for _ in range(2)]
    later, shares = NOW.timestamp() + 3600, [0.8, 0.81, 0.9, 0.95, 1.0, 1.2]
    seen = {
        key.id: PlanWindows(
            NOW.timestamp(), "allowed", windows=(PlanWindow("5h", "", share, later), PlanWindow("7d", "", 0.3, later))
        )
        for key, share in zip(keys, shares, strict=True)
    }
    desk.database.run(lambda connection: write_windows(connection, seen))

    plans = desk.does(does.GET).plans

    assert (plans.told, plans.full) == (6, 5)
    assert [each.share for each in plans.fullest] == [1.2, 1.0, 0.95, 0.9, 0.81]


def test_a_refused_bedrock_key_needs_attention_until_it_is_removed(desk: Desk, office: Office) -> None:
    key_id = office.attach(office.add("ada"))
    refused = ProbeResult(False, "AWS says no", refused=True)
    desk.database.run(lambda c: bedrock_keys.record_bedrock_test(c, key_id, refused, NOW))
    before = attention(desk, "bedrock_health")
    desk.database.run(lambda c: bedrock_keys.remove_bedrock_key(c, key_id, NOW))

    assert [(each.id, each.user_name, each.what) for each in before] == [(key_id, "ada", "AWS says no")]
    assert attention(desk, "bedrock_health") == []


def test_keys_that_end_within_two_weeks_need_attention(desk: Desk, office: Office) -> None:
    ada = office.add("ada")
    soon = office.issue(ada, expires_at=NOW + 3 * DAY)
    office.issue(ada, expires_at=NOW + 20 * DAY)
    bedrock_key = office.attach(ada, expires_at=NOW + 9 * DAY)

    assert [each.id for each in attention(desk, "key_expiry")] == [soon.id]
    assert [(each.id, each.at) for each in attention(desk, "bedrock_expiry")] == [(bedrock_key, NOW + 9 * DAY)]


def test_a_key_that_was_revoked_needs_none(desk: Desk, office: Office) -> None:
    office.revoke(office.issue(office.add("ada"), expires_at=NOW + 3 * DAY))
    assert attention(desk, "key_expiry") == []


@pytest.mark.parametrize(("spent", "percents"), [(7_999_999, []), (8_000_000, [80]), (12_300_000, [123])])
def test_budgets_need_attention_from_80_per_cent_on(desk: Desk, office: Office, spent: int, percents: list[int]) -> None:
    ada = office.add("ada")
    key = office.issue(ada, monthly_budget_micros=10_000_000)
    set_budget(office, ada, 10_000_000)
    write(desk, one(1, Owner(ada.id, key.id), provider="bedrock", cost_micros=spent))

    assert [each.percent for each in attention(desk, "user_budget")] == percents
    assert [each.percent for each in attention(desk, "key_budget")] == percents


def test_of_very_many_circuits_five_are_told_and_all_are_counted(desk: Desk) -> None:
    rows = [
        CircuitRow("plan", f"key_{number}", "*", circuit_rows.OPEN, "plan_exhausted", opened_at=NOW, until=NOW + DAY)
        for number in range(30)
    ]
    desk.database.run(lambda connection: circuit_rows.write_circuits(connection, rows, NOW))
    told = attention(desk, "circuit")
    assert (len(told), {each.total for each in told}) == (5, {30})


def test_it_takes_seven_queries_however_much_there_is(desk: Desk, office: Office) -> None:
    for name in ("ada", "grace", "linus"):
        office.attach(office.add(name))
    write(desk, *[one(number) for number in range(60)])

    with counted() as statements:
        desk.does(does.GET)

    assert len([each for each in statements if each.startswith(("SELECT", "WITH"))]) == 7


def worker(**load: Any) -> WorkerSeen:
    return WorkerSeen(Worker("wrk_2", "some-host", 43, NOW), Load("ready", **load), NOW)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (worker(lost=2), "Worker 43 on some-host lost 2 records"),
        (worker(plan="open until noon"), "Worker 43 on some-host cannot reach the Plan's upstream"),
        (replace(worker(), seen_at=NOW - DAY), "Worker 43 on some-host is silent"),
    ],
)
def test_what_workers_suffer_from_is_said(seen: WorkerSeen, said: str) -> None:
    assert [note.text for note in notes_of((), [worker(), seen], 1.0, NOW)] == [said]


def test_what_does_not_work_comes_before_what_soon_may_not() -> None:
    soon = Attention("key_expiry", "key_1", "usr_1", "ada", "ak_123456", NOW + DAY, 0, 8)
    spent = Attention("user_budget", "usr_1", "usr_1", "ada", "", NOW, 130, 1)
    notes = notes_of((soon, spent), [], 300.0, NOW)
    assert [(note.tone, note.href) for note in notes] == [
        ("bad", "/admin/users/usr_1"),
        ("warn", "/admin/keys/key_1"),
        ("warn", "/admin/system"),
        ("warn", "/admin/keys?sort=expiry"),
    ]
    assert [note.text for note in notes][3] == "7 more: access keys that expire"
