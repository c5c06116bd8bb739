"""Secrets Manager addresses into text, loudly.

Knows nothing of what a secret is for. boto3 is imported only when an address is really fetched, so that an installation
without Secrets Manager never pays for it (about 40 MB a worker). Invariant: an address is never returned as its own value.
"""

from __future__ import annotations

from typing import Any

_PREFIX = "arn:aws:secretsmanager:"
_PREFIXES = (_PREFIX, "arn:aws-us-gov:secretsmanager:", "arn:aws-cn:secretsmanager:")


class SecretUnavailable(Exception):
    """Secrets Manager did not give the secret. The text names the address and AWS's reason, never a value."""


def is_secret_address(value: str) -> bool:
    return value.startswith(_PREFIXES)


def fetch_secret(address: str, client: Any = None) -> str:
    """The secret's string. Blocks on the network (at most about 10 s). Raises SecretUnavailable."""
    try:
        client = client or _client(region=address.split(":")[3])
        return str(client.get_secret_value(SecretId=address)["SecretString"])
    except Exception as error:  # botocore raises classes made at run time; a start must name every cause
        raise SecretUnavailable(f"{address} cannot be read ({type(error).__name__})") from error


def _client(region: str) -> Any:
    import boto3
    from botocore.config import Config

    timeouts = Config(connect_timeout=2, read_timeout=3, retries={"max_attempts": 2})
    return boto3.client("secretsmanager", region_name=region, config=timeouts)
