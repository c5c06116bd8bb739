"""Secrets Manager and KMS for tests: a real moto server that can leave and come back.

Knows nothing of the product. Invariant: what it keeps, it keeps while it is away.
"""

from __future__ import annotations

import weakref

import boto3
from moto.server import ThreadedMotoServer

from sandbox.held_port import HOST, hold_port, port_of


class Cloud:
    """Secrets Manager and KMS, and what is kept there."""

    def __init__(self) -> None:
        self._port = port_of(held := hold_port())  # nobody else's while it is away
        weakref.finalize(self, held.close)
        self.url = f"http://{HOST}:{self._port}"
        self.come_back()
        login = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        self._secrets = boto3.client("secretsmanager", endpoint_url=self.url, **login)
        self.kms_key = boto3.client("kms", endpoint_url=self.url, **login).create_key()["KeyMetadata"]["Arn"]

    def keep(self, name: str, value: str) -> str:
        """A new secret's address."""
        return str(self._secrets.create_secret(Name=name, SecretString=value)["ARN"])

    def leave(self) -> None:
        """AWS cannot be reached; what it keeps, it keeps."""
        self.server.stop()

    def come_back(self) -> None:
        self.server = ThreadedMotoServer(ip_address=HOST, port=self._port, verbose=False)
        self.server.start()

    def change(self, address: str, value: str) -> None:
        self._secrets.put_secret_value(SecretId=address, SecretString=value)
