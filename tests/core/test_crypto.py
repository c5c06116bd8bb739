"""Access keys check themselves, sealed secrets open only where they belong, passwords count to the last byte."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from core.crypto import (
    CannotOpen,
    KmsVault,
    LocalVault,
    VaultAway,
    WatchedVault,
    check_password,
    hash_access_key,
    hash_password,
    is_wellformed,
    new_access_key,
    open_vault,
)
from core.local_files import LocalSecrets
from core.settings import BadSettings, Settings

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET = "a secret for tests, not for use"


def test_a_new_key_has_the_form_of_the_specification() -> None:
    key = new_access_key()
    checksum = sum(DIGITS.index(digit) * 62**place for place, digit in enumerate(reversed(key[41:])))

    assert re.fullmatch(r"ak_[0-9A-Za-z]{44}", key)
    assert checksum == zlib.crc32(key[:41].encode())
    assert is_wellformed(key)
    assert new_access_key() != key


def test_a_small_checksum_is_padded_with_zeros() -> None:
    body = next(body for n in range(10**6) if zlib.crc32((body := f"ak_{n:038d}").encode()) < 62**4)
    rest = zlib.crc32(body.encode())
    digits = "".join(DIGITS[rest // 62**place % 62] for place in (3, 2, 1, 0))

    assert is_wellformed(f"{body}00{digits}")


@given(st.integers(3, 46), st.sampled_from(DIGITS))
def test_one_wrong_character_is_noticed(place: int, other: str) -> None:
    key = new_access_key()
    changed = key[:place] + other + key[place + 1 :]

    assert is_wellformed(changed) == (changed == key)


@pytest.mark.parametrize("text", ["", "ak_", "ak_" + "0" * 43, "ak_" + "0" * 45, "sk_" + "0" * 44, "ak_" + "é" * 44])
def test_text_of_another_form_is_no_key(text: str) -> None:
    assert not is_wellformed(text)
    assert not is_wellformed(new_access_key() + "\n")


def test_the_stored_hash_depends_on_key_and_server_secret() -> None:
    key = new_access_key()

    assert re.fullmatch("[0-9a-f]{64}", hash_access_key(SECRET, key))
    assert hash_access_key(SECRET, key) == hash_access_key(SECRET, key)
    assert len({hash_access_key(s, k) for s in (SECRET, "other") for k in (key, new_access_key())}) == 4


def test_a_password_counts_to_its_last_byte_however_long() -> None:
    stored = hash_password("x" * 100, rounds=4)

    assert check_password("x" * 100, stored)
    assert not check_password("x" * 99, stored)


def test_a_plain_bcrypt_hash_is_checked_as_it_is() -> None:
    stored = "$2b$04$o6UvPjDCwATZzrNLqda4lupIO/k3kPqJTwAsKwtwftaEJ.1DNIyKa"

    assert check_password("correct horse", stored)
    assert not check_password("wrong horse", stored)
    assert not check_password("x" * 100, stored)
    assert not check_password("correct horse", "not a hash")


@pytest.fixture(scope="module")
def kms() -> Iterator[Any]:
    """A client of a real moto server: KMS as AWS answers."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    login = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    yield boto3.client("kms", endpoint_url=f"http://{host}:{port}", **login)
    server.stop()


@pytest.fixture(scope="module")
def key_id(kms: Any) -> str:
    return str(kms.create_key()["KeyMetadata"]["Arn"])


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["local", "kms"])
def vault(request: pytest.FixtureRequest) -> LocalVault | KmsVault:
    if request.param == "local":
        return LocalVault(b"k" * 32)
    return KmsVault(request.getfixturevalue("key_id"), request.getfixturevalue("kms"), Clock())


def test_what_is_sealed_opens_for_its_row(vault: LocalVault | KmsVault) -> None:
    sealed = vault.seal(SECRET, "bdk_1")

    assert vault.open(sealed, "bdk_1") == SECRET
    assert SECRET.encode() not in sealed
    assert vault.seal(SECRET, "bdk_1") != sealed


def test_what_is_sealed_does_not_open_for_another_row(vault: LocalVault | KmsVault) -> None:
    sealed = vault.seal(SECRET, "bdk_1")

    with pytest.raises(CannotOpen):
        vault.open(sealed, "bdk_2")


def test_one_changed_byte_anywhere_is_noticed(vault: LocalVault | KmsVault) -> None:
    sealed = vault.seal(SECRET, "bdk_1")

    for place in (0, 1, 3, len(sealed) // 2, len(sealed) - 1):
        with pytest.raises(CannotOpen):
            vault.open(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], "bdk_1")
    with pytest.raises(CannotOpen):
        vault.open(b"", "bdk_1")


def test_kms_itself_refuses_the_wrong_row(kms: Any, key_id: str) -> None:
    sealed = KmsVault(key_id, kms).seal(SECRET, "bdk_1")

    with pytest.raises(CannotOpen, match=r"KMS refused to decrypt \(InvalidCiphertextException\)") as caught:
        KmsVault(key_id, kms).open(sealed, "bdk_2")
    assert not isinstance(caught.value, VaultAway)


class Wire:
    """The real client until it is cut; counts what is asked."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.asked = 0
        self.cut = boto3.client("kms", endpoint_url="http://127.0.0.1:9", region_name="us-east-1", **LOGIN, config=NO_RETRIES)

    def __getattr__(self, operation: str) -> Any:
        self.asked += 1
        return getattr(self.client, operation)


LOGIN = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
NO_RETRIES = boto3.session.Config(retries={"max_attempts": 0}, connect_timeout=1)


def test_kms_is_asked_once_in_a_quarter_of_an_hour(kms: Any, key_id: str) -> None:
    wire, clock = Wire(kms), Clock()
    sealed = KmsVault(key_id, kms).seal(SECRET, "bdk_1")
    vault = KmsVault(key_id, wire, clock)
    vault.open(sealed, "bdk_1")
    vault.open(sealed, "bdk_1")
    assert wire.asked == 1

    clock.now = 900.0
    assert vault.open(sealed, "bdk_1") == SECRET
    assert wire.asked == 2


def test_while_kms_is_away_a_known_key_opens_for_a_day(kms: Any, key_id: str) -> None:
    wire, clock = Wire(kms), Clock()
    vault = KmsVault(key_id, wire, clock)
    sealed = vault.seal(SECRET, "bdk_1")
    wire.client = wire.cut

    clock.now = 86_399.0
    assert vault.open(sealed, "bdk_1") == SECRET
    clock.now = 86_400.0
    with pytest.raises(VaultAway):
        vault.open(sealed, "bdk_1")


def test_while_kms_is_away_nothing_can_be_sealed(kms: Any, key_id: str) -> None:
    wire = Wire(kms)
    wire.client = wire.cut

    with pytest.raises(VaultAway, match="cannot be reached"):
        KmsVault(key_id, wire).seal(SECRET, "bdk_1")


def test_a_kms_that_says_no_is_obeyed_also_for_a_key_that_is_remembered(kms: Any, key_id: str) -> None:
    wire, clock = Wire(kms), Clock()
    vault = KmsVault(key_id, wire, clock)
    sealed = vault.seal(SECRET, "bdk_1")
    clock.now = 900.0
    wire.client = boto3.client("kms", endpoint_url=kms.meta.endpoint_url, region_name="eu-west-1", **LOGIN)
    with pytest.raises(CannotOpen) as caught:
        vault.open(sealed, "bdk_1")
    assert not isinstance(caught.value, VaultAway)

    wire.client = wire.cut
    with pytest.raises(VaultAway):
        vault.open(sealed, "bdk_1")


def test_the_settings_choose_the_vault(kms: Any, key_id: str) -> None:
    secrets = LocalSecrets(SECRET, SECRET, "", b"k" * 32)

    assert isinstance(open_vault(Settings(), secrets), LocalVault)
    assert isinstance(open_vault(Settings(kms_key_id=key_id), secrets, kms), KmsVault)
    with pytest.raises(BadSettings, match="PROXY_KMS_KEY_ID"):
        open_vault(Settings(environment="production"), LocalSecrets(SECRET, SECRET, ""))


def test_each_time_that_a_vault_could_not_do_its_work_is_told() -> None:
    failures: list[int] = []
    vault = WatchedVault(LocalVault(b"k" * 32), lambda: failures.append(1))
    sealed = vault.seal(SECRET, "row_1")
    assert (vault.open(sealed, "row_1"), failures) == (SECRET, [])
    with pytest.raises(CannotOpen):
        vault.open(sealed, "row_2")
    assert failures == [1]
