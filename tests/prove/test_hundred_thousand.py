"""A hundred thousand requests of all kinds of ends through three workers: to the micro-dollar what their numbers say."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from core.db import Database, open_database, take_time
from core.ledger_check import compare, look_into_spools
from core.models import requests, usage_hourly
from core.settings import Settings
from tests.prove.generated import BROKEN, COUNTED, ERROR_EVENT, LEFT, REFUSED, UNSERVED, Asking

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
REQUESTS, WORKERS = 100_000, 3
# Published: dollars per million tokens, input, output, cache writes of 5 minutes and an hour, cache reads.
PUBLISHED = {
    "claude-opus-5": tuple(map(Fraction, ("5", "25", "6.25", "10", "0.5"))),
    "claude-sonnet-5-5": tuple(map(Fraction, ("2", "10", "2.5", "4", "0.1"))),
}
PLACES = {"global": Fraction(1), "us": Fraction(11, 10)}
AMOUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_read_tokens",
    "cost_micros",
    "list_value_micros",
)
Sums = dict[tuple[str, str, str, str], tuple[int, ...]]


def reckoned(asking: Asking) -> tuple[int, ...]:
    """Its amounts, without a line of the product: tokens as far as they were told, times the published price."""
    if asking.end in (REFUSED, UNSERVED, COUNTED):
        return (0,) * len(AMOUNTS)
    told = list(asking.tokens)
    if asking.end in (BROKEN, LEFT, ERROR_EVENT):
        told[1] = 1  # the stream's first event says 1; its last one never came
    listed = sum(Fraction(count) * rate for count, rate in zip(told, PUBLISHED[asking.model], strict=True))
    cost = listed * PLACES[asking.place] if asking.on_bedrock else Fraction(0)
    return (*told, round(cost), round(listed))


def key_of(asking: Asking) -> tuple[str, str, str, str]:
    provider = "" if asking.end == UNSERVED else "bedrock" if asking.on_bedrock else "plan"
    model = f"{asking.place}.anthropic.{asking.model}" if asking.on_bedrock else asking.model
    return asking.key, provider, model, datetime.fromtimestamp(asking.started_at, UTC).date().isoformat()


def expected() -> Sums:
    sums: Counter[tuple[tuple[str, str, str, str], int]] = Counter()
    for asking in map(Asking, range(REQUESTS)):
        for place, amount in enumerate((1, *reckoned(asking))):
            sums[key_of(asking), place] += amount
    return {key: tuple(sums[key, place] for place in range(1 + len(AMOUNTS))) for key, _ in sums}


@dataclass(frozen=True)
class Booked:
    database: Database
    spool_dir: Path


@pytest.fixture(scope="module")
def booked(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booked]:
    """Three processes, each with every third request, at the same time into the same hours."""
    url, spool_dir = postgres_server.migrated(), tmp_path_factory.mktemp("spool")
    command = [sys.executable, "-m", "tests.prove.generated", url, str(spool_dir)]
    workers = [subprocess.Popen([*command, str(first), str(WORKERS), str(REQUESTS)], cwd=ROOT) for first in range(WORKERS)]
    assert [worker.wait() for worker in workers] == [0] * WORKERS
    database = open_database(Settings(database_url=url), pool_size=1)
    yield Booked(database, spool_dir)
    database.close()
    postgres_server.drop(url)


def sums_of(database: Database, table: Any, day: Any, model: Any, count: Any) -> Sums:
    keys = (table.c.access_key_id, table.c.provider, model, func.to_char(func.timezone("UTC", day), "YYYY-MM-DD"))
    query = select(*keys, count, *(func.sum(table.c[name]) for name in AMOUNTS)).group_by(*keys)

    def work(connection: Any) -> Sums:
        take_time(connection)
        return {tuple(row[:4]): tuple(map(int, row[4:])) for row in connection.execute(query)}  # type: ignore[misc]

    return database.read(work)


def test_the_sums_of_the_records_are_what_was_reckoned_apart_from_the_product(booked: Booked) -> None:
    model = func.coalesce(func.nullif(requests.c.model_served, ""), requests.c.model_asked)
    found = sums_of(booked.database, requests, requests.c.started_at, model, func.count())
    assert found == expected()
    assert sum(sums[0] for sums in found.values()) == REQUESTS


def test_the_hourly_sums_are_too(booked: Booked) -> None:
    count = func.sum(usage_hourly.c.requests)
    found = sums_of(booked.database, usage_hourly, usage_hourly.c.hour, usage_hourly.c.model, count)
    assert found == expected()


def test_records_and_hourly_sums_agree_and_nothing_waits(booked: Booked) -> None:
    verdict = booked.database.read(lambda connection: (take_time(connection), compare(connection))[1])
    left = look_into_spools(booked.spool_dir)
    assert (verdict.total, verdict.records) == (0, REQUESTS)
    assert (left.records, left.damaged, left.dead) == (0, 0, 0)
