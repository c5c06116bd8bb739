"""Changes of keys are in force in a running server within two seconds, in each of its workers.

A key's end is measured by what was asked: no refusal may have come before it, nothing that was asked two seconds after it may be
let in. So a slow machine makes these tests slow, and never wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from core import access_keys
from core.local_files import ensure_local
from tests import machine
from tests.live.conftest import Developer, Stack
from tests.live.wire import LOGIN, talk
from tests.machine import Moment

IN_FORCE_S = 2.0
LIFE_S = 5.0
ASKED = 40  # requests in a row that must all agree: more than two workers can hide
GIVE_UP_S = 60.0


@dataclass(frozen=True)
class End:
    """Of a key, as one who asks all the time sees it."""

    last_let_in: Moment  # when that request began
    first_refused: float  # when that answer was there, by the monotonic clock


@dataclass(frozen=True)
class Office:
    """A running server, and an administrator of it."""

    stack: Stack

    def ask(self, access_key: str) -> int:
        target = f"GET /ak/{access_key}/v1/models HTTP/1.1\r\n".encode()
        return talk(self.stack.product.port, target + LOGIN + b"connection: close\r\n\r\n").only.status

    def statuses(self, access_key: str) -> set[int]:
        """What many requests in a row get now."""
        return {self.ask(access_key) for _ in range(ASKED)}

    def end_of(self, access_key: str, began: Moment | None = None) -> End:
        """Asks until many in a row were refused, and for two seconds: one of several workers may answer forty in a row.

        `began` is now, or when the change was made: until then it was let in.
        """
        began = began or machine.now()
        asked_at = last_let_in = began
        first_refused, refused = inf, 0
        while refused < ASKED or asked_at.clock - last_let_in.clock < IN_FORCE_S:
            asked_at = machine.now()
            assert asked_at.clock - began.clock < GIVE_UP_S, "let in for a minute"
            if self.ask(access_key) == 403:
                first_refused, refused = min(first_refused, time.monotonic()), refused + 1
            else:
                last_let_in, refused = asked_at, 0
        return End(last_let_in, first_refused)

    def is_in_force_soon(self, *access_keys: str) -> bool:
        """Whether nothing that is asked with one of them more than two seconds from now is let in.

        Each has its own end: one that was looked up a moment ago lives until the server hears of the change.
        """
        began = machine.now()
        return all(self.end_of(each, began).last_let_in.since(began) < IN_FORCE_S for each in access_keys)

    def developer(self, lives_s: float | None = None) -> Developer:
        expires_at = None if lives_s is None else datetime.now(UTC) + timedelta(seconds=lives_s)
        return self.stack.developer(bedrock="", expires_at=expires_at)

    def rotate(self, developer: Developer, grace_s: float) -> access_keys.IssuedKey:
        """Here and not by the command line, which takes a second to begin: its moment must be known."""
        secret, now = ensure_local(self.stack.settings).server_secret, datetime.now(UTC)
        return self.stack.database.run(lambda c: access_keys.rotate_key(c, developer.access_key_id, secret, grace_s, now))


@pytest.fixture(scope="module", params=["sqlite", "postgresql with two workers"])
def product_settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    if request.param == "sqlite":
        yield {}
        return
    server = request.getfixturevalue("postgres_server")
    url = server.migrated()
    yield {"PROXY_DATABASE_URL": url, "PROXY_WORKERS": "2"}
    server.drop(url)


@pytest.fixture
def office(stack: Stack) -> Office:
    return Office(stack)


def test_a_new_key_works_everywhere_at_once(office: Office) -> None:
    assert office.statuses(office.developer().access_key) == {200}


def test_a_revoked_key_is_refused_everywhere_within_two_seconds(office: Office) -> None:
    developer = office.developer()
    assert office.statuses(developer.access_key) == {200}

    office.stack.product.cli("key", "revoke", developer.access_key_id)
    assert office.is_in_force_soon(developer.access_key)


def test_all_keys_of_a_deactivated_user_are_refused_everywhere_within_two_seconds(office: Office) -> None:
    developer = office.developer()
    second = office.stack.product.cli("key", "issue", "--user", developer.user_id)["access_key"]
    assert office.statuses(developer.access_key) == office.statuses(second) == {200}

    office.stack.product.cli("user", "deactivate", developer.user_id)
    assert office.is_in_force_soon(developer.access_key, second)


def test_a_rotated_key_stays_good_for_its_grace_and_the_new_one_is_good_at_once(office: Office) -> None:
    developer = office.developer()
    assert office.ask(developer.access_key) == 200

    before = time.monotonic()
    rotated = office.rotate(developer, LIFE_S)
    after = machine.now()
    end = office.end_of(developer.access_key)

    assert rotated.id == developer.access_key_id
    assert before + LIFE_S <= end.first_refused
    assert 0 < end.last_let_in.since(after) < LIFE_S + IN_FORCE_S
    assert office.ask(rotated.access_key) == 200


def test_the_new_text_of_a_rotated_key_is_good_at_once_everywhere(office: Office) -> None:
    rotated = office.rotate(office.developer(), LIFE_S)
    assert office.statuses(rotated.access_key) == {200}


def test_rotation_without_grace_ends_the_old_key_within_two_seconds(office: Office) -> None:
    developer = office.developer()
    assert office.statuses(developer.access_key) == {200}

    office.stack.product.cli("key", "rotate", developer.access_key_id, "--grace-s", "0")
    assert office.is_in_force_soon(developer.access_key)


def test_a_key_ends_when_it_expires_though_it_is_known_and_nobody_looks(office: Office) -> None:
    before = time.monotonic()
    developer = office.developer(lives_s=LIFE_S)
    after = machine.now()
    end = office.end_of(developer.access_key)

    assert before + LIFE_S <= end.first_refused
    assert 0 < end.last_let_in.since(after) < LIFE_S + IN_FORCE_S
