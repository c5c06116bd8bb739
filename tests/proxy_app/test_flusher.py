"""What is in a spool reaches the ledger, once, whatever fails on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from sqlalchemy import Connection, func, select

from core.db import Database, DatabaseAway
from core.models import requests, usage_hourly
from core.record import RequestRecord
from core.spool import Spool
from proxy_app.flusher import BATCH, DEAD_LETTERS, WAKE_AT, Flusher

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")

WRITER = """
import sys
from pathlib import Path
from core.record import RequestRecord
from core.spool import open_spool
spool = open_spool(Path(sys.argv[1]), "dead")
for number in range(10**9):
    spool.append(RequestRecord(f"req_dead_{number:06d}", 1.8e9, "user_1", "key_1").to_json())
    sys.stdout.write(f"{number}\\n"); sys.stdout.flush()
"""


class Switched:
    """The real database behind a switch. `commits_unseen`: the next transaction commits, and the answer is lost."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.away = self.commits_unseen = False
        self.transactions = 0

    def run(self, work: Callable[[Connection], T]) -> T:
        self.transactions += 1
        if self.away:
            raise DatabaseAway("switched off")
        done = self.database.run(work)
        if self.commits_unseen:
            self.commits_unseen = False
            raise DatabaseAway("lost in the commit")
        return done


class Heard(threading.Event):
    def finished(self, record: RequestRecord) -> None: ...

    def flushed(self, records: Sequence[RequestRecord]) -> None:
        self.set()

    def recovered(self, records: Sequence[RequestRecord]) -> None:
        self.lost = [record.request_id for record in records]


@pytest.fixture
def switched(database: Database) -> Switched:
    return Switched(database)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", "worker")
    yield spool
    spool.close()


def flusher_of(spool: Spool, switched: Switched, interval_s: float = 1.0) -> Flusher:
    return Flusher(spool, cast(Database, switched), interval_s, lambda: 0.0)


@pytest.fixture
def flusher(spool: Spool, switched: Switched) -> Flusher:
    return flusher_of(spool, switched)


def fill(spool: Spool, count: int, first: int = 0, **changes: Any) -> None:
    for number in range(first, first + count):
        spool.append(RequestRecord(f"req_{number:05d}", 1.8e9, "user_1", "key_1", **changes).to_json())


def in_ledger(switched: Switched) -> tuple[int, int]:
    """Rows, and what the hours say they are."""

    def count(connection: Connection) -> tuple[int, int]:
        rows = connection.execute(select(func.count()).select_from(requests)).scalar_one()
        return rows, int(connection.execute(select(func.coalesce(func.sum(usage_hourly.c.requests), 0))).scalar_one())

    return switched.database.read(count)


def letters(spool: Spool) -> list[dict[str, str]]:
    return [json.loads(line) for line in (spool.path.parent / DEAD_LETTERS).read_text().splitlines()]


def test_a_round_writes_a_batch_and_cuts_it(flusher: Flusher, spool: Spool, switched: Switched) -> None:
    fill(spool, BATCH + 3)
    assert (flusher.flush(), in_ledger(switched), flusher.books.records) == (BATCH, (BATCH, BATCH), 3)
    assert (flusher.flush(), flusher.books.records, spool.path.stat().st_size) == (3, 0, 0)


def test_an_idle_round_asks_the_database_nothing(flusher: Flusher, switched: Switched) -> None:
    assert (flusher.flush(), switched.transactions) == (0, 0)


def test_while_the_database_is_away_records_wait_in_the_spool(flusher: Flusher, spool: Spool, switched: Switched) -> None:
    fill(spool, 3)
    switched.away = True
    assert [flusher.flush(), flusher.flush()] == [0, 0] and flusher.books.records == 3
    switched.away = False
    assert (flusher.flush(), in_ledger(switched)) == (3, (3, 3))


def test_a_commit_whose_answer_is_lost_counts_once(flusher: Flusher, spool: Spool, switched: Switched) -> None:
    fill(spool, 3)
    switched.commits_unseen = True
    assert [flusher.flush(), flusher.flush()] == [0, 0]
    assert (in_ledger(switched), flusher.books.records) == ((3, 3), 0)


@pytest.mark.parametrize("place", [0, 7, 49])
def test_a_poison_record_is_set_aside_and_the_others_are_written(
    flusher: Flusher, spool: Spool, switched: Switched, place: int
) -> None:
    fill(spool, place)
    fill(spool, 1, first=900, cost_micros=2**63)
    fill(spool, 49 - place, first=place)
    assert (flusher.flush(), in_ledger(switched), flusher.books.dead) == (49, (49, 49), 1)
    assert "req_00900" in letters(spool)[0]["record"]
    assert (spool.path.parent / DEAD_LETTERS).stat().st_mode & 0o777 == 0o600


def test_an_unreadable_line_is_set_aside_once_however_often_it_is_read(
    flusher: Flusher, spool: Spool, switched: Switched
) -> None:
    spool.append(b'{"no": "record"}')
    fill(spool, 1)
    switched.away = True
    flusher.flush()
    switched.away = False
    assert (flusher.flush(), flusher.books.dead, len(letters(spool))) == (1, 1, 1)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b'{"request_id":"req_00007","started_at":"', {"request_id": "req_00007"}),
        (b'{"no": "record"}', {}),
        (
            RequestRecord("req_00008", 1.8e9, "user_1", "key_1", cost_micros=2**63 - 1, input_tokens=2**63).to_json(),
            {"request_id": "req_00008"},
        ),
    ],
    ids=["cut off", "no record", "poison"],
)
def test_the_log_names_the_request_whose_record_was_set_aside(
    flusher: Flusher, spool: Spool, caplog: Any, line: bytes, named: dict[str, str]
) -> None:
    spool.append(line)
    flusher.flush()

    [told] = [record for record in caplog.records if record.getMessage().startswith("a record was set aside: ")]
    assert told.context == {**named, "file": DEAD_LETTERS}


def test_nothing_but_poison_does_not_stop_the_flusher(flusher: Flusher, spool: Spool, switched: Switched) -> None:
    fill(spool, 3, total_ms="soon")
    flusher.flush()
    fill(spool, 1, first=9)
    assert (flusher.flush(), flusher.books.dead, flusher.books.records) == (1, 3, 0)


def test_an_unexpected_error_keeps_the_records(flusher: Flusher, spool: Spool, switched: Switched) -> None:
    fill(spool, 2)
    switched.database.run(lambda connection: usage_hourly.drop(connection))
    assert (flusher.flush(), flusher.books.records, flusher.books.dead) == (0, 2, 0)
    switched.database.run(lambda connection: usage_hourly.create(connection))
    assert (flusher.flush(), in_ledger(switched)) == (2, (2, 2))


def test_the_last_flush_writes_everything(flusher: Flusher, spool: Spool, switched: Switched) -> None:
    fill(spool, 2 * BATCH + 1)
    flusher.close()
    assert in_ledger(switched) == (2 * BATCH + 1, 2 * BATCH + 1) and not spool.path.exists()


def test_what_the_last_flush_cannot_write_is_left_to_another_worker(
    flusher: Flusher, spool: Spool, switched: Switched, tmp_path: Path
) -> None:
    fill(spool, 5)
    switched.away = True
    flusher.close()
    switched.away = False
    heir = flusher_of(Spool(tmp_path / "spool", "heir"), switched, interval_s=0.01)
    heir.start()
    heir.close()
    assert in_ledger(switched) == (5, 5) and not spool.path.exists()


def test_the_flusher_wakes_for_many_records_long_before_its_interval(spool: Spool, switched: Switched) -> None:
    flusher, heard = flusher_of(spool, switched, interval_s=3600.0), Heard()
    flusher.listeners.append(heard)
    flusher.start()
    for number in range(2 * WAKE_AT):
        fill(spool, 1, first=number)
        flusher.notice()
    assert heard.wait(20)
    flusher.close()
    assert in_ledger(switched) == (2 * WAKE_AT, 2 * WAKE_AT)


def test_a_killed_workers_records_are_written_once_by_another(tmp_path: Path, spool: Spool, switched: Switched) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "spool")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(300)]
    writer.kill()
    said += [line for line in writer.stdout.readlines() if line.endswith("\n")]
    writer.wait()
    flusher = flusher_of(spool, switched, interval_s=0.01)
    flusher.start()
    flusher.close()
    rows, summed = in_ledger(switched)
    assert len(said) <= rows == summed <= len(said) + 1


def noted(spool: Spool, number: int, **changes: Any) -> bytes:
    record = RequestRecord(
        f"req_{number:05d}", 1.8e9, "user_1", "key_1", confidence="partial", error_type="worker_lost", **changes
    )
    return record.to_json()


def confidences(switched: Switched) -> dict[str, str]:
    wanted = select(requests.c.request_id, requests.c.confidence)
    return dict(switched.database.read(lambda connection: connection.execute(wanted).all()))  # type: ignore[arg-type]


def test_an_answer_under_way_at_a_kill_has_one_partial_row_and_a_finished_one_its_own(
    flusher: Flusher, spool: Spool, switched: Switched, tmp_path: Path
) -> None:
    for number in range(3):
        flusher.under_way.begin(f"req_{number:05d}", noted(spool, number))
    fill(spool, 2)
    flusher.flush()  # the first is in the ledger before the kill, the second is, too; their slots still say otherwise
    fill(spool, 1, first=3)
    os.close(spool._fd)
    heir = flusher_of(Spool(tmp_path / "spool", "heir"), switched, interval_s=0.01)
    heard = Heard()
    heir.listeners.append(heard)
    heir.start()
    heir.close()
    spool._fd = -1
    assert heard.lost == ["req_00002"]  # the others were heard of where they finished
    assert confidences(switched) == {f"req_{n:05d}": "partial" if n == 2 else "exact" for n in range(4)}
    assert in_ledger(switched) == (4, 4)


def test_what_is_still_under_way_when_a_worker_ends_has_a_row_later(
    flusher: Flusher, spool: Spool, switched: Switched, tmp_path: Path
) -> None:
    flusher.under_way.begin("req_00000", noted(spool, 0))
    flusher.close()
    heir = flusher_of(Spool(tmp_path / "spool", "heir"), switched, interval_s=0.01)
    heir.start()
    heir.close()
    assert confidences(switched) == {"req_00000": "partial"}
    assert not list((tmp_path / "spool").iterdir())
