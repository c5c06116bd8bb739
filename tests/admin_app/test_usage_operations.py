"""Usage: whatever the range, the step, the zone and the grouping, the sums are the ledger's; on both databases."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from admin_app import usage_operations as does
from admin_app.operation import BadFields
from core.db import Database
from core.ledger import write_batch
from core.record import RequestRecord
from core.usage_series import OTHERS
from tests.admin_app.desk import Desk
from tests.core.office import NOW, Office

MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "global.anthropic.claude-haiku-5-5")
AT = NOW.timestamp()


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def random_records(count: int, seed: int) -> list[RequestRecord]:
    """Of the 40 days before NOW, by all kinds of users, keys, models and ends."""
    dice = random.Random(seed)
    return [
        RequestRecord(
            f"req_{seed}_{number}",
            AT - dice.choice([3600, 86_400 * 7, 86_400 * 40]) * dice.random(),
            f"usr_{number % 7}",
            f"key_{number % 13}",
            provider=dice.choice(["plan", "plan", "bedrock", ""]),
            fault=dice.choice(["", "", "plan_exhausted", "client_gone", "stream_broken", "planless"]),
            status=dice.choice([200, 200, 429, 500, 529]),
            model_asked=dice.choice(MODELS),
            input_tokens=dice.randrange(1000),
            output_tokens=dice.randrange(1000),
            cache_read_tokens=dice.randrange(1000),
            cache_write_5m_tokens=dice.randrange(50),
            cost_micros=dice.randrange(10**6),
            list_value_micros=dice.randrange(10**6),
        )
        for number in range(count)
    ]


def fill(desk: Desk, records: list[RequestRecord]) -> None:
    desk.database.run(lambda connection: write_batch(connection, records))


def one(number: int, at: datetime, **changes: Any) -> RequestRecord:
    base = RequestRecord(f"req_{number}", at.timestamp(), "usr_1", "key_1", provider="plan", status=200, model_asked="m")
    return replace(base, **changes)


def added(usage: does.UsageShown) -> tuple[int, int, Decimal]:
    points = [point for each in usage.series for point in each.figures if point is not None]
    return (
        sum(p.requests for p in points),
        sum(p.cache_read_tokens for p in points),
        sum((p.cost_usd for p in points), Decimal(0)),
    )


@pytest.mark.parametrize("bucket", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("group", does.GROUPS)
def test_series_and_totals_are_the_sums_of_the_ledger(desk: Desk, bucket: str, group: str) -> None:
    records = random_records(300, seed=1)
    fill(desk, records)
    since = NOW - timedelta(days=13 if bucket == "hour" else 41)
    inside = [each for each in records if each.started_at >= since.timestamp()]

    usage = desk.does(does.GET, range="custom", since=since.isoformat(), bucket=bucket, group=group, top=3, zone="Asia/Kolkata")

    expected = (len(inside), sum(r.cache_read_tokens for r in inside), Decimal(sum(r.cost_micros for r in inside)) / 10**6)
    assert added(usage) == expected
    assert (usage.total.requests, usage.total.cache_read_tokens, usage.total.cost_usd) == expected


def test_by_the_minute_errors_and_fallbacks_are_counted_as_the_ledger_does(desk: Desk) -> None:
    fill(desk, random_records(300, seed=2))
    hours = {"range": "custom", "since": (NOW - timedelta(hours=5)).isoformat(), "until": NOW.isoformat()}

    minutes, whole = desk.does(does.GET, bucket="minute", **hours), desk.does(does.GET, bucket="hour", **hours)

    assert minutes.total == whole.total and whole.total.errors > 0 and whole.total.fallbacks > 0
    assert (len(minutes.begins), added(minutes)) == (300, added(whole))


def test_a_day_has_23_hours_when_clocks_are_put_forward(desk: Desk) -> None:
    before, after = datetime(2026, 3, 28, 22, 30, tzinfo=UTC), datetime(2026, 3, 29, 21, 30, tzinfo=UTC)
    fill(desk, [one(1, before), one(2, before + timedelta(hours=1)), one(3, after), one(4, after + timedelta(hours=1))])
    dates = {"since": "2026-03-28T00:00:00+01:00", "until": "2026-03-31T00:00:00+02:00"}

    usage = desk.does(does.GET, range="custom", bucket="day", zone="Europe/Berlin", **dates)

    assert [f"{begin:%d %H}" for begin in usage.begins] == ["27 23", "28 23", "29 22"]
    assert [point.requests for point in usage.series[0].figures] == [1, 2, 1]


@pytest.mark.parametrize("end", ["since", "until"])
def test_an_end_that_would_not_count_is_refused_and_not_passed_over(desk: Desk, end: str) -> None:
    with pytest.raises(BadFields, match=f'{end}: counts only with the range "custom"'):
        desk.does(does.GET, **{end: "2026-04-01T00:00:00Z"})


def test_small_groups_are_summed_up_as_others(desk: Desk) -> None:
    sizes = (("m1", 1), ("m2", 2), ("m3", 4), ("m4", 3))
    records = [one(0, NOW, request_id=f"{name}-{n}", model_asked=name) for name, size in sizes for n in range(size)]
    fill(desk, records)

    usage = desk.does(does.GET, range="24h", group="model", top=2)

    assert [(each.id, each.figures[-1].requests) for each in usage.series] == [("m3", 4), ("m4", 3), (OTHERS, 3)]
    assert ([each.id for each in usage.groups], usage.group_count) == (["m3", "m4", "m2", "m1"], 4)


def test_users_and_keys_go_by_name_and_can_be_asked_for(desk: Desk, office: Office) -> None:
    ada, grace = office.add("ada"), office.add("grace")
    laptop = office.issue(ada, name="laptop")
    fill(
        desk,
        [
            one(1, NOW, user_id=ada.id, access_key_id=laptop.id),
            one(2, NOW, user_id=grace.id, access_key_id="key_2"),
            one(3, NOW, user_id="usr_x", access_key_id="key_3"),
        ],
    )

    by_user = desk.does(does.GET, range="today", group="user")
    of_ada = desk.does(does.GET, range="today", group="key", user="ada")

    assert {each.name for each in by_user.groups} == {"ada", "grace", "usr_x"}
    assert ([each.name for each in of_ada.groups], of_ada.total.requests) == (["ada, laptop"], 1)


def test_what_nobody_answered_can_be_asked_for(desk: Desk) -> None:
    fill(desk, [one(1, NOW), one(2, NOW, provider="", status=503)])
    nobody = desk.does(does.GET, range="today", provider="none")
    assert (nobody.total.requests, nobody.total.errors, nobody.groups[0].name) == (1, 1, "Nobody")


def test_of_no_requests_there_are_buckets_and_no_groups(desk: Desk) -> None:
    usage = desk.does(does.GET, range="7d")
    assert (len(usage.begins), usage.series, usage.groups, usage.total.requests) == (7, [], [], 0)


@pytest.mark.parametrize(
    ("wanted", "count", "bucket"),
    [("3h", 181, "minute"), ("24h", 25, "hour"), ("today", 13, "hour"), ("30d", 30, "day"), ("month", 13, "hour")],
)
def test_a_range_is_cut_into_steps_that_fit(desk: Desk, wanted: str, count: int, bucket: str) -> None:
    usage = desk.does(does.GET, range=wanted)
    assert (len(usage.begins), usage.bucket) == (count, bucket)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"range": "custom"}, "since"),
        ({"range": "custom", "since": "2026-06-01T00:00:00Z"}, "since"),
        ({"range": "custom", "since": "2026-04-01T00:00:00Z", "bucket": "minute"}, "bucket"),
        ({"range": "custom", "since": "1990-04-01T00:00:00Z"}, "bucket"),
        ({"zone": "Atlantis/City"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"user": "nobody"}, "user"),
        ({"range": "3h", "top": 1000}, "top"),
        ({"measure": "sums"}, "measure"),
    ],
)
def test_what_cannot_be_asked_is_named(desk: Desk, fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(BadFields) as refused:
        desk.does(does.GET, **fields)
    assert list(refused.value.problems) == [wrong]
