"""When a key was last used and from where: seldom written, never in a request's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, text

from core.access_keys import IssuedKey, find_key
from core.access_keys import LastSeen as Seen
from core.db import Database, DatabaseAway, open_database
from core.settings import Settings
from core.sightings import Sighting, record_sightings
from proxy_app.last_seen import LastSeen
from tests.core.office import NOW, SECOND, Office

T = TypeVar("T")
TRUSTED = (ip_network("10.0.0.0/8"),)


class Source:
    """The real database, counted, and away when told so."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.asked = 0
        self.away = False

    def run(self, work: Callable[[Connection], T]) -> T:
        self.asked += 1
        if self.away:
            raise DatabaseAway("the test says so")
        return self._database.run(work)


class Porch:
    def __init__(self, database: Database) -> None:
        self.office = Office(database)
        self.source: Any = Source(database)
        self.passed = 0.0
        self.seen = self.worker()

    def worker(self, capacity: int = 100) -> LastSeen:
        return LastSeen(self.source, TRUSTED, lambda: NOW.timestamp() + self.passed, capacity)

    def key(self, name: str = "ann") -> IssuedKey:
        return self.office.issue(self.office.add(name))

    def written(self, key: IssuedKey) -> Seen:
        return self.office.database.read(lambda c: find_key(c, key.id)).last_seen


@pytest.fixture
def porch(database: Database) -> Porch:
    return Porch(database)


def test_a_key_that_is_used_is_seen_with_time_and_address(porch: Porch) -> None:
    key, other = porch.key(), porch.key("bob")
    porch.seen.note(key.id, "192.0.2.7", [])
    assert porch.written(key) == Seen(None, "")

    porch.seen.flush()
    assert porch.written(key) == Seen(NOW, "192.0.2.7")
    assert porch.written(other) == Seen(None, "")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.5, 10.2.2.2"], "203.0.113.5"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.5"], "203.0.113.5"),
        ("192.0.2.1", ["6.6.6.6"], "192.0.2.1"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["<script>"], ""),
    ],
)
def test_the_address_is_the_right_most_that_no_trusted_proxy_has(
    porch: Porch, peer: str, forwarded: list[str], address: str
) -> None:
    key = porch.key()
    porch.seen.note(key.id, peer, forwarded)
    porch.seen.flush()

    assert porch.written(key).address == address


def test_a_key_is_written_once_a_minute_at_most_however_busy_it_is(porch: Porch) -> None:
    key = porch.key()
    for second in range(60):
        porch.passed = float(second)
        porch.seen.note(key.id, f"192.0.2.{second}", [])
        porch.seen.flush()
    assert (porch.source.asked, porch.written(key)) == (1, Seen(NOW, "192.0.2.0"))

    porch.passed = 60.0
    porch.seen.note(key.id, "192.0.2.99", [])
    porch.seen.flush()
    assert (porch.source.asked, porch.written(key)) == (2, Seen(NOW + 60 * SECOND, "192.0.2.99"))


def test_two_workers_together_write_once_a_minute(porch: Porch) -> None:
    key, other_worker = porch.key(), porch.worker()
    porch.seen.note(key.id, "192.0.2.1", [])
    porch.passed = 59.0
    other_worker.note(key.id, "192.0.2.2", [])
    porch.seen.flush(), other_worker.flush()

    assert porch.written(key) == Seen(NOW, "192.0.2.1")


def test_what_cannot_be_written_waits_for_the_database(porch: Porch) -> None:
    key = porch.key()
    porch.seen.note(key.id, "192.0.2.1", [])
    porch.source.away = True
    porch.seen.flush()
    porch.source.away = False

    porch.seen.flush()
    porch.seen.flush()
    assert porch.written(key) == Seen(NOW, "192.0.2.1")
    assert porch.source.asked == 2  # the third had nothing to do


def test_a_batch_is_one_transaction_and_changes_no_grant(porch: Porch) -> None:
    keys = [porch.key(name) for name in ("ann", "bob", "cat")]
    revision = porch.office.revision()
    for key in keys:
        porch.seen.note(key.id, "192.0.2.1", [])
    porch.seen.flush()

    assert (porch.source.asked, porch.office.revision()) == (1, revision)
    assert [porch.written(key).at for key in keys] == [NOW] * 3


def test_memory_is_bounded_also_while_the_database_is_away(porch: Porch) -> None:
    worker, keys = porch.worker(capacity=2), [porch.key(name) for name in ("ann", "bob", "cat")]
    for key in keys:
        worker.note(key.id, "192.0.2.1", [])
    worker.flush()

    assert [porch.written(key).at for key in keys] == [None, NOW, NOW]


def test_stopping_writes_what_waits(porch: Porch) -> None:
    key = porch.key()
    porch.seen.note(key.id, "192.0.2.1", [])
    porch.seen.stop()

    assert porch.written(key).at == NOW


@pytest.fixture
def shared(postgres_server: Any) -> Iterator[Database]:
    url = postgres_server.migrated()
    opened = open_database(Settings(database_url=url), pool_size=3)
    yield opened
    opened.close()
    postgres_server.drop(url)


def test_a_key_that_is_being_changed_is_not_waited_for(shared: Database) -> None:
    office = Office(shared)
    key, other = office.issue(office.add("ann")), office.issue(office.add("bob"))
    sightings = [Sighting(each.id, NOW + timedelta(hours=1), "192.0.2.1") for each in (key, other)]
    written: list[int] = []

    def change(connection: Connection) -> None:
        connection.execute(text("UPDATE access_keys SET name = 'x' WHERE id = :id"), {"id": key.id})
        beside = threading.Thread(target=lambda: written.append(shared.run(lambda c: record_sightings(c, sightings))))
        beside.start()
        beside.join(5)

    shared.run(change)
    assert written == [1]
