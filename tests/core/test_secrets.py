"""Addresses of Secrets Manager into text: which call is made, what is kept, and what a failure says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from core.secrets import SecretReader, SecretUnavailable

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:proxy-AbCdEf"
AWAY = EndpointConnectionError(endpoint_url="https://example.com")
DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "hush"}}, "GetSecretValue")


class SecretsManager:
    """Its one call, answered with `answer` or refused with it; `asked` are the calls."""

    def __init__(self, answer: str | Exception) -> None:
        self._answer = answer
        self.asked: list[dict[str, str]] = []

    def get_secret_value(self, **wanted: str) -> dict[str, str]:
        self.asked.append(wanted)
        if isinstance(self._answer, Exception):
            raise self._answer
        return {"SecretString": self._answer}


Reading = Callable[[str | Exception], tuple[SecretReader, SecretsManager]]


@pytest.fixture
def reading() -> Reading:
    def make(answer: str | Exception) -> tuple[SecretReader, SecretsManager]:
        manager = SecretsManager(answer)
        return SecretReader(lambda region: manager), manager

    return make


def refusal(reader: SecretReader, address: str) -> str:
    with pytest.raises(SecretUnavailable) as caught:
        reader.read(address)
    return str(caught.value)


def test_a_secret_is_its_text_and_knows_its_address(reading: Reading) -> None:
    reader, manager = reading("open sesame")
    read = reader.read(ARN)

    assert (read, read.address) == ("open sesame", ARN)
    assert manager.asked == [{"SecretId": ARN}]


def test_a_member_of_a_json_secret_is_named_as_in_a_task_definition(reading: Reading) -> None:
    reader, manager = reading('{"hash": "one", "jwt": "two"}')

    assert [reader.read(f"{ARN}:hash::"), reader.read(f"{ARN}:jwt::"), reader.read(f"{ARN}:jwt")] == ["one", "two", "two"]
    assert manager.asked == [{"SecretId": ARN}]  # once for all


def test_a_version_may_be_named(reading: Reading) -> None:
    reader, manager = reading("{}")
    reader.read(f"{ARN}::AWSPREVIOUS:")
    reader.read(f"{ARN}:::b1c2")

    assert manager.asked == [{"SecretId": ARN, "VersionStage": "AWSPREVIOUS"}, {"SecretId": ARN, "VersionId": "b1c2"}]


@pytest.mark.parametrize("text", ["hush", '["hush"]', '{"other": "hush"}'])
def test_a_member_that_is_not_there_is_said_without_what_is_there(reading: Reading, text: str) -> None:
    said = refusal(reading(text)[0], f"{ARN}:hash::")

    assert said.startswith(f"{ARN}:hash:: cannot be read") and "hush" not in said


def test_a_refusal_of_aws_is_said_by_its_code_and_the_next_secret_is_asked_for_all_the_same(reading: Reading) -> None:
    reader, manager = reading(DENIED)

    assert refusal(reader, ARN) == f"{ARN} cannot be read (AccessDeniedException)"
    refusal(reader, f"{ARN}2")
    assert [each["SecretId"] for each in manager.asked] == [ARN, f"{ARN}2"]


def test_a_region_that_cannot_be_reached_is_asked_once(reading: Reading) -> None:
    reader, manager = reading(AWAY)

    assert refusal(reader, ARN) == f"{ARN} cannot be read (EndpointConnectionError)"
    assert refusal(reader, f"{ARN}2") == f"{ARN}2 cannot be read (EndpointConnectionError)"
    assert len(manager.asked) == 1


def test_a_binary_secret_is_no_text_and_no_reason_to_ask_for_no_other() -> None:
    manager = Binary("")
    reader = SecretReader(lambda region: manager)

    assert refusal(reader, ARN) == f"{ARN} cannot be read (the secret is binary, not text)"
    refusal(reader, f"{ARN}2")
    assert len(manager.asked) == 2


class Binary(SecretsManager):
    def get_secret_value(self, **wanted: str) -> dict[str, Any]:
        self.asked.append(wanted)
        return {"SecretBinary": b"\x00"}


def test_the_region_is_the_one_of_the_address() -> None:
    regions: list[Any] = []
    reader = SecretReader(lambda region: regions.append(region) or SecretsManager("x"))
    reader.read(ARN)

    assert regions == ["eu-central-1"]
