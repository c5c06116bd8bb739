"""Which circuits are open and whom they hold up, on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from core import circuit_rows
from core.circuit_rows import CircuitRow
from core.db import Database
from core.keyset import Page
from core.reports import CircuitLine, open_circuits
from tests.core.office import NOW, Office

HOUR = timedelta(hours=1)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def seen(office: Office) -> Page[CircuitLine]:
    return office.database.read(lambda connection: open_circuits(connection, NOW, 10))


def open_circuit(office: Office, provider: str, holder: str, until: datetime = NOW + HOUR, **more: Any) -> None:
    row = CircuitRow(provider, holder, "sonnet", circuit_rows.OPEN, "plan_exhausted", opened_at=NOW - HOUR, until=until, **more)
    office.database.run(lambda connection: circuit_rows.write_circuits(connection, [row], NOW))


def test_an_open_circuit_is_shown_with_whom_it_holds_up(office: Office) -> None:
    user = office.add("first")
    key, bedrock_key_id = office.issue(user), office.attach(user)
    open_circuit(office, "plan", key.id)
    open_circuit(office, "bedrock", bedrock_key_id, credential="0123456789abcdef")

    found = {line.provider: line for line in seen(office).lines}

    assert (found["plan"].user_name, found["plan"].prefix, found["plan"].holder) == ("first", key.access_key[:9], key.id)
    assert (found["bedrock"].user_name, found["bedrock"].prefix, found["bedrock"].holder) == ("first", "", bedrock_key_id)
    assert (found["plan"].fault, found["plan"].opened_at, found["plan"].until) == ("plan_exhausted", NOW - HOUR, NOW + HOUR)
    assert "0123456789abcdef" not in repr(found)


def test_a_circuit_that_closed_or_whose_time_has_come_is_not_shown(office: Office) -> None:
    open_circuit(office, "plan", "key_over", until=NOW)
    open_circuit(office, "plan", "key_closed")
    office.database.run(lambda c: circuit_rows.close_circuit(c, "plan", "key_closed", "sonnet", NOW))

    assert seen(office).lines == ()


def test_of_very_many_circuits_a_page_is_shown_and_the_others_follow(office: Office) -> None:
    for number in range(13):
        open_circuit(office, "plan", f"key_{number:02}")

    first = seen(office)
    rest = office.database.read(lambda connection: open_circuits(connection, NOW, 10, first.last))

    assert [line.holder for line in (*first.lines, *rest.lines)] == [f"key_{number:02}" for number in range(13)]
    assert (first.has_more, rest.has_more) == (True, False)
