"""The rows by which workers tell each other of circuits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.circuit_rows import CircuitRow, circuits_of, circuits_since, write_circuits
from core.db import Database

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def row(holder: str, hours: float = 1.0) -> CircuitRow:
    return CircuitRow("plan", holder, "opus", "open", opened_at=NOON, until=NOON + timedelta(hours=hours), backoff_s=60.0)


def test_a_row_comes_back_as_it_was_written_with_its_revision(database: Database) -> None:
    written = CircuitRow("bedrock", "b-1", "us-east-1/opus", "open", "bedrock_quota", "", 7, NOON, NOON, NOON, 60.0, "w")
    revision = database.run(lambda connection: write_circuits(connection, [written], NOON))
    _, [found] = database.read(lambda connection: circuits_since(connection, revision - 1))
    assert found.revision == revision
    assert found == replace(written, revision=revision)


def test_only_what_is_newer_is_read_and_a_circuit_once(database: Database) -> None:
    first = database.run(lambda connection: write_circuits(connection, [row("a"), row("b")], NOON))
    second = database.run(lambda connection: write_circuits(connection, [row("a", hours=2)], NOON))
    _, news = database.read(lambda connection: circuits_since(connection, first))
    assert [(it.holder, it.revision) for it in news] == [("a", second)]


def test_open_circuits_of_some_keys_are_theirs_alone_at_either_upstream(database: Database) -> None:
    rows = [row("a"), row("b"), row("c", hours=-1), replace(row("bdk"), provider="bedrock")]
    database.run(lambda connection: write_circuits(connection, rows, NOON))
    found = database.read(lambda connection: circuits_of(connection, ["a", "c", "bdk"], NOON))
    assert [(it.provider, it.holder) for it in found] == [("bedrock", "bdk"), ("plan", "a")]


def test_writers_at_the_same_time_take_one_revision_each_and_do_not_lock_each_other_out(database: Database) -> None:
    pairs = [[row("a"), row("b")], [row("b"), row("a")]] * 10
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda rows: database.run(lambda connection: write_circuits(connection, rows, NOON)), pairs))
    assert len(set(taken)) == 20
    _, news = database.read(lambda connection: circuits_since(connection, 0))
    assert {it.revision for it in news} == {max(taken)}
