"""A code of the authenticator app is good once; so is a recovery code."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from sqlalchemy import text

from core import second_factor
from core.access import Invalid
from core.admins import Admin
from core.crypto import CannotOpen
from core.db import Database, open_database
from core.settings import Settings
from tests.core.admin_office import AdminOffice
from tests.core.office import SERVER_SECRET


@pytest.fixture
def office(database: Database) -> AdminOffice:
    return AdminOffice(database)


def passes(office: AdminOffice, admin: Admin, code: str) -> bool:
    return bool(office.run(second_factor.use_code, admin.id, code, SERVER_SECRET, office.now))


def code(secret: str, office: AdminOffice, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(office.now + timedelta(seconds=30 * steps))


def test_without_a_second_factor_no_code_is_asked_for(office: AdminOffice) -> None:
    assert passes(office, office.add(), "")


def test_a_code_is_good_once(office: AdminOffice) -> None:
    ann = office.add()
    secret, _ = office.enrol(ann)
    office.later(seconds=30)

    assert [passes(office, ann, code(secret, office)) for _ in range(2)] == [True, False]


def test_the_code_that_turned_it_on_is_used_up(office: AdminOffice) -> None:
    ann = office.add()
    secret, _ = office.enrol(ann)

    assert not passes(office, ann, code(secret, office))


@pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_off_by_one_step(office: AdminOffice, steps: int, is_good: bool) -> None:
    ann = office.add()
    secret, _ = office.enrol(ann)
    office.later(minutes=5)

    assert passes(office, ann, code(secret, office, steps)) is is_good


def test_after_a_later_code_an_earlier_one_is_not_good_any_more(office: AdminOffice) -> None:
    ann = office.add()
    secret, _ = office.enrol(ann)
    office.later(minutes=5)

    assert passes(office, ann, code(secret, office, 1))
    assert not passes(office, ann, code(secret, office, 0))


@pytest.mark.parametrize("wrong", ["", "000000", "12345", "abcdef", "１２３４５６", "x" * 5000])
def test_a_wrong_code_does_not_pass(office: AdminOffice, wrong: str) -> None:
    ann = office.add()
    office.enrol(ann)

    assert not passes(office, ann, wrong)


def test_it_is_on_only_after_a_code_of_the_app(office: AdminOffice) -> None:
    ann = office.add()

    with pytest.raises(Invalid):
        office.run(second_factor.turn_on, ann.id, second_factor.new_secret(), "000000", SERVER_SECRET, office.now)
    assert not office.found("ann").has_totp


def test_each_recovery_code_is_good_once(office: AdminOffice) -> None:
    ann = office.add()
    _, codes = office.enrol(ann)

    assert [passes(office, ann, codes[3].upper()), passes(office, ann, codes[3]), passes(office, ann, codes[4])] == [
        True,
        False,
        True,
    ]
    assert (len(set(codes)), office.found("ann").recovery_codes_left) == (10, 8)


def test_neither_secret_nor_recovery_code_is_stored_in_clear(office: AdminOffice) -> None:
    ann = office.add()
    secret, codes = office.enrol(ann)

    row = office.database.read(lambda c: c.execute(text("SELECT totp_sealed, recovery_hashes FROM admins")).one())
    stored = bytes(row.totp_sealed) + row.recovery_hashes.encode()

    assert not any(each.encode() in stored for each in (secret, *codes))


def test_a_sealed_secret_opens_for_its_own_admin_alone(office: AdminOffice) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    office.enrol(ann)
    move = "UPDATE admins SET totp_sealed = (SELECT totp_sealed FROM admins WHERE username = 'ann')"
    office.database.run(lambda c: c.execute(text(move)))

    with pytest.raises(CannotOpen):
        passes(office, bob, "000000")


def test_turned_off_it_is_gone(office: AdminOffice) -> None:
    ann = office.add()
    office.enrol(ann)

    office.run(second_factor.turn_off, ann.id, office.now)

    assert (office.found("ann").has_totp, office.found("ann").recovery_codes_left, passes(office, ann, "")) == (False, 0, True)


@pytest.fixture
def crowded(postgres_server: Any) -> Iterator[Database]:
    url = postgres_server.migrated()
    opened = open_database(Settings(database_url=url), pool_size=8)  # one for each who comes at once
    yield opened
    opened.close()
    postgres_server.drop(url)


def test_of_many_who_send_the_same_code_at_once_one_passes(crowded: Database) -> None:
    office = AdminOffice(crowded)
    ann = office.add()
    secret, codes = office.enrol(ann)
    office.later(minutes=5)
    tried = [code(secret, office)] * 4 + [codes[0]] * 4
    passed: list[bool] = []
    threads = [threading.Thread(target=lambda c=each: passed.append(passes(office, ann, c))) for each in tried]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert (len(passed), passed.count(True)) == (8, 2)
