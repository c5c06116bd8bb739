"""Bedrock keys under KMS from the command line: a real moto server answers as AWS does, until it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import select

from core import models
from core.db import open_database
from tests.admin_app.test_cli import Terminal
from tests.installations import with_tables

LOGIN = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
LOCAL, KMS = b"\x01", b"\x02"


class Aws:
    """A KMS of its own, with the environment that leads boto3 there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        for name, value in {**LOGIN, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            monkeypatch.setenv(name, value)
        self.is_up = True

    def new_key(self) -> str:
        return str(boto3.client("kms").create_key()["KeyMetadata"]["Arn"])

    def stop(self) -> None:
        if self.is_up:
            self.server.stop()
        self.is_up = False


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    made = Aws(monkeypatch)
    yield made
    made.stop()


@pytest.fixture
def terminal(tmp_path: Path, sqlite_template: Path) -> Terminal:
    made = Terminal(tmp_path / "var")
    with_tables(made.settings, sqlite_template)
    made("user add ann")
    return made


def attached(terminal: Terminal, secret: str = "a-bedrock-key") -> Any:
    return terminal("bedrock-key add --user ann --key-stdin --json", stdin=f"{secret}\n")


def sealed(terminal: Terminal) -> list[bytes]:
    database = open_database(terminal.settings, pool_size=1)
    found = database.read(lambda c: c.execute(select(models.bedrock_keys.c.sealed)).scalars().all())
    database.close()
    return list(found)


def test_a_key_is_sealed_with_kms_and_opened_again(terminal: Terminal, aws: Aws) -> None:
    terminal.environ["PROXY_KMS_KEY_ID"] = aws.new_key()
    key_id = attached(terminal).document["id"]

    assert terminal(f"bedrock-key test {key_id}").code == 0
    assert terminal.probe.asked[-1][1] == "a-bedrock-key"
    [stored] = sealed(terminal)
    assert stored[:1] == KMS
    assert b"a-bedrock-key" not in stored


def test_with_kms_away_a_new_key_is_refused_with_a_clear_reason_and_nothing_is_stored(terminal: Terminal, aws: Aws) -> None:
    terminal.environ["PROXY_KMS_KEY_ID"] = aws.new_key()
    aws.stop()

    finished = attached(terminal)
    assert (finished.code, list(finished.document)) == (1, ["error"])
    assert "KMS does not answer" in finished.document["error"]
    assert sealed(terminal) == []


def test_resealing_takes_keys_from_the_local_file_to_kms(terminal: Terminal, aws: Aws) -> None:
    key_id = attached(terminal).document["id"]
    terminal.environ["PROXY_KMS_KEY_ID"] = aws.new_key()
    before = [stored[:1] for stored in sealed(terminal)]

    assert terminal("bedrock-key reseal --json").document == {"resealed": 1, "cannot_open": []}
    assert (before, [stored[:1] for stored in sealed(terminal)]) == ([LOCAL], [KMS])
    assert terminal(f"bedrock-key test {key_id}").code == 0


def test_resealing_takes_keys_from_one_kms_key_to_another_when_told_the_old_one(terminal: Terminal, aws: Aws) -> None:
    old, new = aws.new_key(), aws.new_key()
    terminal.environ["PROXY_KMS_KEY_ID"] = old
    key_id = attached(terminal).document["id"]
    terminal.environ["PROXY_KMS_KEY_ID"] = new
    untold = terminal("bedrock-key reseal --json")
    assert (untold.code, untold.document) == (1, {"resealed": 0, "cannot_open": [key_id]})

    assert terminal(f"bedrock-key reseal --old-kms-key {old} --json").document == {"resealed": 1, "cannot_open": []}
    boto3.client("kms").disable_key(KeyId=old.rpartition("/")[2])
    assert terminal(f"bedrock-key test {key_id}").code == 0


def test_with_kms_away_nothing_is_resealed_nor_called_lost(terminal: Terminal, aws: Aws) -> None:
    terminal.environ["PROXY_KMS_KEY_ID"] = aws.new_key()
    attached(terminal)
    before = sealed(terminal)
    aws.stop()

    finished = terminal("bedrock-key reseal --json")
    assert (finished.code, list(finished.document), sealed(terminal)) == (1, ["error"], before)
