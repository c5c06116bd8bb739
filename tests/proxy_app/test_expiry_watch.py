"""Administrators hear in time that a Bedrock key ends, and not all the time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from core.bedrock_keys import remove_bedrock_key
from core.db import Database
from core.users import deactivate_user
from proxy_app.expiry_watch import ExpiryWatch
from tests.core.office import NOW, SECOND, Office

DAY = timedelta(days=1)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def told(caplog: Any) -> list[tuple[str, str]]:
    said = [(record.context["bedrock_key_id"], record.context["reason"]) for record in caplog.records]
    caplog.clear()
    return said


def test_a_key_that_ends_within_two_weeks_is_named_and_one_that_has_ended(office: Office, caplog: Any) -> None:
    ann = office.add("ann")
    soon, gone = office.attach(ann, expires_at=NOW + 14 * DAY), office.attach(ann, expires_at=NOW)
    office.attach(ann, expires_at=NOW + 14 * DAY + SECOND), office.attach(ann)
    ExpiryWatch(office.database, lambda: NOW).look()

    assert told(caplog) == [(gone, "expired"), (soon, "expires in 14 days")]


def test_a_key_is_named_once_a_day(office: Office, caplog: Any) -> None:
    key, now = office.attach(office.add("ann"), expires_at=NOW + DAY), [NOW]
    watch = ExpiryWatch(office.database, lambda: now[0])
    watch.look()
    now[0] = NOW + DAY - SECOND
    watch.look()
    assert told(caplog) == [(key, "expires within two days")]

    now[0] = NOW + DAY
    watch.look()
    assert told(caplog) == [(key, "expired")]


def test_nobody_hears_of_keys_that_nobody_uses(office: Office, caplog: Any) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    removed = office.attach(ann, expires_at=NOW + DAY)
    office.attach(bob, expires_at=NOW + DAY)
    office.database.run(lambda c: remove_bedrock_key(c, removed, NOW))
    office.database.run(lambda c: deactivate_user(c, bob.id, NOW))
    ExpiryWatch(office.database, lambda: NOW).look()

    assert told(caplog) == []
