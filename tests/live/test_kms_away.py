"""A server whose Bedrock keys are under KMS goes on when KMS is gone (a real moto server stands for it)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import select

from core import models
from tests.live.asking import ask, await_true

TICK_S = 1.0
LOGIN = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def kms() -> Iterator[ThreadedMotoServer]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server
    server.stop()


def address(server: ThreadedMotoServer) -> str:
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


@pytest.fixture(scope="module")
def product_settings(kms: ThreadedMotoServer) -> dict[str, str]:
    login = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    key = boto3.client("kms", endpoint_url=address(kms), **login).create_key()["KeyMetadata"]["Arn"]
    return {**LOGIN, "AWS_ENDPOINT_URL": address(kms), "PROXY_KMS_KEY_ID": key}


class Asker:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url


def joined(stack: Any, name: str) -> Asker:
    """A user of Bedrock alone whose key was attached by the command line."""
    return Asker(stack.product.base_url(stack.product.add_developer(name, strategy="bedrock_only")))


def answers_for(developer: Asker, seconds: float) -> set[bool]:
    """Whether Bedrock answered, asked again and again for so long."""
    until, seen = time.monotonic() + seconds, set[bool]()
    while time.monotonic() < until:
        seen.add(ask(developer).came_from_bedrock(""))
    return seen


def unopened(stack: Any) -> list[dict[str, Any]]:
    return [line["context"] for line in stack.product.logs() if line["message"] == "a Bedrock key cannot be opened"]


def test_a_key_under_kms_serves_and_its_secret_is_nowhere(stack: Any) -> None:
    developer = joined(stack, "ann")

    assert ask(developer).came_from_bedrock("")
    [sealed] = stack.database.read(lambda c: c.execute(select(models.bedrock_keys.c.sealed)).scalars().all())
    assert sealed[:1] == b"\x02"
    assert b"bedrock-sandbox" not in sealed
    assert unopened(stack) == []


def test_a_seal_that_was_moved_to_another_row_is_refused_by_kms(stack: Any) -> None:
    developer, table = joined(stack, "bob"), models.bedrock_keys
    stolen, own = stack.database.read(lambda c: c.execute(select(table).order_by(table.c.created_at)).all())
    stack.database.run(lambda c: c.execute(table.update().where(table.c.id == own.id).values(sealed=stolen.sealed)))

    assert ask(developer).status != 200
    [said] = await_true(lambda: unopened(stack))
    assert (said["log"], said["bedrock_key_id"]) == ("error", own.id)
    assert "InvalidCiphertext" in said["reason"]


def test_with_kms_away_opened_keys_go_on_serving_after_a_change_and_new_ones_are_refused_clearly(
    stack: Any, kms: ThreadedMotoServer
) -> None:
    """The last test of the file: KMS stays away."""
    developer = joined(stack, "cat")
    assert ask(developer).came_from_bedrock("")
    kms.stop()

    stack.product.cli("user", "set", "cat", "--note", "a change makes every worker look its grants up again")
    assert answers_for(developer, 3 * TICK_S) == {True}
    refused = stack.product.cli("bedrock-key", "add", "--user", "cat", "--key-stdin", given="another", check=False)
    assert "KMS does not answer" in refused["error"]
