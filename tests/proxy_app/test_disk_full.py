"""A disk that is really full: what is lost is counted to the record, told at once, and can be had back from the log."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from core.db import Database
from core.log import AccessLog, LineWriter
from core.pricing import load_prices
from core.settings import Settings
from core.spool import Spool
from proxy_app.recorder import Recorder
from tests.mounts import small_disk
from tests.proxy_app.recording import USAGE, call, outcome
from tests.proxy_app.test_flusher import Switched, in_ledger

REQUESTS = 400
HELD_BYTES = 40_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", kilobytes=64) as folder:
        yield folder


@pytest.fixture
def switched(database: Database) -> Switched:
    return Switched(database)


@pytest.fixture
def recorder(disk: Path, tmp_path: Path, switched: Switched) -> Iterator[Recorder]:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    spool = Spool(disk, "worker", most_held_bytes=HELD_BYTES)
    access_log = AccessLog(LineWriter(fd))
    yield Recorder(spool, cast(Database, switched), load_prices(), access_log, Settings(), (lambda: 120.0, lambda: 1.8e9))
    spool.close()
    os.close(fd)


def serve(recorder: Recorder, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        recorder.begin(call(number), outcome(), USAGE)
        recorder.finish(call(number), outcome())


def flush_all(recorder: Recorder) -> None:
    while recorder.flush():
        continue


def test_the_loss_is_counted_to_the_record(recorder: Recorder, switched: Switched) -> None:
    switched.away = True
    serve(recorder, REQUESTS)
    lost = recorder.books.lost
    switched.away = False
    flush_all(recorder)
    assert 0 < lost < REQUESTS and in_ledger(switched) == (REQUESTS - lost, REQUESTS - lost)


def test_a_full_disk_alone_loses_nothing_while_the_database_is_there(recorder: Recorder, switched: Switched, disk: Path) -> None:
    (disk / "other").write_bytes(b"x" * 64 * 1024)
    serve(recorder, 50)
    held = recorder.books.held
    recorder.flush()
    assert (held, recorder.books.lost, in_ledger(switched)) == (50, 0, (50, 50))


def test_memory_stays_within_its_bound(recorder: Recorder, switched: Switched) -> None:
    switched.away = True
    serve(recorder, REQUESTS)
    books = recorder.books
    assert books.records + books.lost == REQUESTS and books.bytes <= 64 * 1024 + HELD_BYTES


def test_the_alarm_is_raised_once_for_the_disk_and_for_each_new_loss(
    recorder: Recorder, switched: Switched, caplog: pytest.LogCaptureFixture
) -> None:
    switched.away = True
    serve(recorder, REQUESTS)
    recorder.flush()
    recorder.flush()
    serve(recorder, 1, first=REQUESTS)
    recorder.flush()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage().split(":")[0] for record in errors] == [
        "records were lost",
        "the spool's disk is full",
        "records were lost",
    ]
    assert getattr(errors[-1], "context")["lost"] == recorder.books.lost  # noqa: B009
