"""Bedrock keys as operations: sealed, tested, destroyed; their text is nowhere."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import event

from admin_app import bedrock_key_operations as does
from admin_app.operation import BadFields
from core.access import Invalid, NotFound, Refused
from core.actor import Role
from core.bedrock_keys import find_bedrock_key
from core.crypto import LocalVault, VaultAway
from core.db import Database
from core.ports import ProbeResult
from core.types import KeyHealth, Residency
from tests.admin_app.desk import CANARY, Desk
from tests.core.office import NOW, Office


class AwayVault:
    """KMS does not answer."""

    def seal(self, plaintext: str, row_id: str) -> bytes:
        raise VaultAway("no answer")

    def open(self, sealed: bytes, row_id: str) -> str:
        raise VaultAway("no answer")


class Broken:
    """A probe that fails in a way of its own."""

    def test(self, region: str, secret: str, residency: Residency) -> ProbeResult:
        raise RuntimeError(secret)


class Watching:
    """A vault, and a probe, that note how many transactions are open while they are asked."""

    def __init__(self, database: Database) -> None:
        self.open, self.seen = 0, list[int]()
        self._vault = LocalVault(bytes(32))
        event.listen(database._engine, "begin", lambda _: self._count(1))
        event.listen(database._engine, "commit", lambda _: self._count(-1))
        event.listen(database._engine, "rollback", lambda _: self._count(-1))

    def _count(self, step: int) -> None:
        self.open += step

    def seal(self, plaintext: str, row_id: str) -> bytes:
        self.seen.append(self.open)
        return self._vault.seal(plaintext, row_id)

    def test(self, region: str, secret: str, residency: Residency) -> ProbeResult:
        self.seen.append(self.open)
        return ProbeResult(True, "a model answered")


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, Role.EDITOR)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def test_an_attached_key_is_sealed_tested_and_never_told_again(desk: Desk, office: Office) -> None:
    user = office.add("Ada")

    attached = desk.does(does.ATTACH, user_id=user.id, secret=CANARY, region="eu-west-1", residency="geo", name="main")

    assert (attached.region, attached.residency, attached.health, attached.tested_at) == ("eu-west-1", "geo", "healthy", NOW)
    assert attached.test == does.TestShown(ok=True, reason="a model answered")
    assert desk.probe.asked == [("eu-west-1", CANARY, Residency.GEO)]
    told = msgspec.json.encode([attached, desk.does(does.GET, bedrock_key_id=attached.id), desk.does(does.LIST), desk.audited()])
    assert (CANARY.encode() in told, CANARY[:10].encode() in told) == (False, False)
    stored = office.database.read(lambda c: find_bedrock_key(c, attached.id)).key
    assert (CANARY.encode() in stored.sealed, desk.vault.open(stored.sealed, stored.id)) == (False, CANARY)


def test_attaching_and_its_test_are_both_in_the_audit_log(desk: Desk, office: Office) -> None:
    attached = desk.does(does.ATTACH, user_id=office.add("Ada").id, secret=CANARY)

    entry, tested = sorted(desk.audited(), key=lambda each: each.action)  # of one moment

    assert (entry.action, entry.target, entry.after["region"]) == ("bedrock_key.attach", attached.id, "us-east-1")
    assert (tested.action, tested.before, tested.after) == (
        "bedrock_key.test",
        {"health": "unknown"},
        {"health": "healthy", "ok": True},
    )


@pytest.mark.parametrize(
    ("result", "health"),
    [
        (ProbeResult(False, "auth: AWS says no", refused=True), KeyHealth.UNHEALTHY),
        (ProbeResult(False, "Bedrock cannot be reached"), KeyHealth.UNKNOWN),
    ],
)
def test_a_key_whose_test_fails_is_kept_with_the_reason(
    desk: Desk, office: Office, result: ProbeResult, health: KeyHealth
) -> None:
    desk.probe.result = result

    attached = desk.does(does.ATTACH, user_id=office.add("Ada").id, secret=CANARY)

    assert (attached.health, attached.reason, attached.test) == (
        health,
        result.reason,
        does.TestShown(ok=False, reason=result.reason),
    )
    assert [each.id for each in desk.does(does.LIST, health=health.value).data] == [attached.id]


def test_a_test_that_breaks_loses_neither_the_key_nor_its_secret_into_the_answer(desk: Desk, office: Office) -> None:
    desk.probe = Broken()  # type: ignore[assignment]

    attached = desk.does(does.ATTACH, user_id=office.add("Ada").id, secret=CANARY)

    assert attached.reason == "the test could not be made (RuntimeError)"


def test_a_test_again_finds_the_key_well(desk: Desk, office: Office) -> None:
    desk.probe.result = ProbeResult(False, "auth", refused=True)
    attached = desk.does(does.ATTACH, user_id=office.add("Ada").id, secret=CANARY)
    desk.probe.result = ProbeResult(True, "a model answered")

    tested = desk.does(does.TEST, bedrock_key_id=attached.id)

    assert (tested.health, tested.test.ok, desk.probe.asked[-1]) == ("healthy", True, ("us-east-1", CANARY, Residency.GLOBAL))


def test_neither_kms_nor_aws_is_waited_for_within_a_transaction(desk: Desk, office: Office) -> None:
    user = office.add("Ada")
    watching = Watching(office.database)
    desk.vault = desk.probe = watching  # type: ignore[assignment]

    desk.does(does.ATTACH, user_id=user.id, secret=CANARY)
    within = office.database.read(lambda _: watching.open)

    assert (watching.seen, within) == ([0, 0], 1)


def test_while_kms_is_away_nothing_is_kept_and_nobody_is_asked(desk: Desk, office: Office) -> None:
    user = office.add("Ada")
    desk.vault = AwayVault()

    with pytest.raises(Refused, match="nothing was kept"):
        desk.does(does.ATTACH, user_id=user.id, secret=CANARY)

    assert (desk.does(does.LIST).data, desk.probe.asked, desk.audited()) == ([], [], [])


@pytest.mark.parametrize(
    ("vault", "why"), [(AwayVault(), "KMS does not answer"), (LocalVault(b"o" * 32), "sealed with another key")]
)
def test_a_key_that_cannot_be_opened_cannot_be_tested(desk: Desk, office: Office, vault: LocalVault, why: str) -> None:
    attached = desk.does(does.ATTACH, user_id=office.add("Ada").id, secret=CANARY)
    desk.vault = vault

    with pytest.raises(Refused, match=why):
        desk.does(does.TEST, bedrock_key_id=attached.id)

    assert desk.does(does.GET, bedrock_key_id=attached.id).health == "healthy"


@pytest.mark.parametrize(
    "region",
    ["evil.example.com", "us-east-1.evil.example", "us-east-1/", "http://127.0.0.1", "us-east-1#", "../x", "US-EAST-1", ".."],
)
def test_a_region_that_could_lead_elsewhere_is_refused_before_anybody_is_asked(desk: Desk, office: Office, region: str) -> None:
    user = office.add("Ada")

    with pytest.raises(Invalid, match="region"):
        desk.does(does.ATTACH, user_id=user.id, secret=CANARY, region=region)

    assert (desk.does(does.LIST).data, desk.probe.asked) == ([], [])


def test_a_key_of_one_access_key_is_listed_there(desk: Desk, office: Office) -> None:
    user = office.add("Ada")
    mine, other = office.issue(user), office.issue(user)
    attached = desk.does(does.ATTACH, user_id=user.id, secret=CANARY, access_key_id=mine.id)

    listed = [desk.does(does.LIST, access_key_id=key.id).data for key in (mine, other)]

    assert [[each.id for each in found] for found in listed] == [[attached.id], []]
    assert attached.access_key_prefix == mine.access_key[:9]


def test_somebody_elses_access_key_is_refused(desk: Desk, office: Office) -> None:
    ada, bob = office.add("Ada"), office.add("Bob")

    with pytest.raises(NotFound):
        desk.does(does.ATTACH, user_id=ada.id, secret=CANARY, access_key_id=office.issue(bob).id)

    assert desk.does(does.LIST).data == []


def test_an_end_in_the_past_is_refused_and_one_nearby_is_warned_about(desk: Desk, office: Office) -> None:
    user = office.add("Ada")

    with pytest.raises(BadFields) as refused:
        desk.does(does.ATTACH, user_id=user.id, secret=CANARY, expires_at="2026-05-01T12:00:00Z")
    near = desk.does(does.ATTACH, user_id=user.id, secret=CANARY, expires_at="2026-05-08T12:00:00Z")

    assert set(refused.value.problems) == {"expires_at"}
    assert (near.warning, near.expires_at) == ("expires in 7 days", NOW + timedelta(days=7))


def test_a_removed_key_is_gone_with_its_secret(desk: Desk, office: Office) -> None:
    attached = desk.does(does.ATTACH, user_id=office.add("Ada").id, secret=CANARY)

    desk.later(seconds=1).does(does.REMOVE, bedrock_key_id=attached.id)

    assert desk.does(does.LIST).data == []
    assert desk.audited()[0].action == "bedrock_key.remove"
    with pytest.raises(NotFound):
        desk.does(does.REMOVE, bedrock_key_id=attached.id)
