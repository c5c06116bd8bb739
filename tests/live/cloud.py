"""Secrets Manager and KMS for tests: a real moto server that can leave and come back.

Knows nothing of the product. Invariant: what it keeps, it keeps while it is away.
"""

from __future__ import annotations

import boto3
from moto.server import ThreadedMotoServer


class Cloud:
    """Secrets Manager and KMS, and what is kept there."""

    def __init__(self) -> None:
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.url = f"http://{host}:{port}"
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
        host, port = self.url.removeprefix("http://").split(":")
        self.server = ThreadedMotoServer(ip_address=host, port=int(port), verbose=False)
        self.server.start()

    def change(self, address: str, value: str) -> None:
        self._secrets.put_secret_value(SecretId=address, SecretString=value)
