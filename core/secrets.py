"""Secrets Manager addresses into text, loudly.

Knows nothing of what a secret is for. boto3 is imported only when an address is really fetched, so that an installation
without Secrets Manager never pays for it (about 40 MB a worker). Invariant: an address is never returned as its own value,
and no error holds a value.

An address is the secret's ARN, or, in the form of ECS task definitions, `ARN:json-key:version-stage:version-id`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from core.shared_text import SharedText

_PREFIX = "arn:aws:secretsmanager:"
_PREFIXES = (_PREFIX, "arn:aws-us-gov:secretsmanager:", "arn:aws-cn:secretsmanager:")
_ARN_PARTS = 7


class SecretUnavailable(Exception):
    """Secrets Manager did not give the secret. The text names the address and AWS's reason, never a value."""


class SecretText(str):
    """A secret's text that knows where it was read, for who must read it again one day, and where processes of this server
    tell each other what they read since."""

    __slots__ = ("address", "newest")
    address: str
    newest: SharedText | None

    def __new__(cls, text: str, address: str) -> SecretText:
        made = super().__new__(cls, text)
        made.address = address
        made.newest = None
        return made


def share_with_children(secret: str) -> None:
    """What a process forked from now on reads anew of this secret is known to all others. Of a text from elsewhere: nothing."""
    if isinstance(secret, SecretText):
        secret.newest = SharedText()


def is_secret_address(value: str) -> bool:
    return value.startswith(_PREFIXES)


class SecretReader:
    """Reads for one start: each secret once, however many settings name parts of it.

    A region that cannot be reached is asked once, so that a start without network fails in seconds, whatever the number of
    secrets. Not safe between threads.
    """

    def __init__(self, client_of: Callable[[str], Any] | None = None) -> None:
        self._client_of = client_of or _client
        self._clients: dict[str, Any] = {}
        self._read: dict[tuple[str, ...], str] = {}
        self._unreachable: dict[str, str] = {}

    def read(self, address: str) -> SecretText:
        """Blocks on the network (at most about 10 s). Raises SecretUnavailable."""
        parts = address.split(":")
        arn, (key, stage, version) = ":".join(parts[:_ARN_PARTS]), (*parts[_ARN_PARTS:], "", "", "")[:3]
        text = self._whole(address, (arn, stage, version), region=parts[3])
        return SecretText(_member(text, key, address) if key else text, address)

    def _whole(self, address: str, wanted: tuple[str, str, str], region: str) -> str:
        if wanted not in self._read:
            if region in self._unreachable:
                raise SecretUnavailable(f"{address} cannot be read ({self._unreachable[region]})")
            self._read[wanted] = self._fetch(address, wanted, region)
        return self._read[wanted]

    def _fetch(self, address: str, wanted: tuple[str, str, str], region: str) -> str:
        names = zip(("SecretId", "VersionStage", "VersionId"), wanted, strict=True)
        try:
            if region not in self._clients:
                self._clients[region] = self._client_of(region)
            answer = self._clients[region].get_secret_value(**{name: value for name, value in names if value})
        except Exception as error:  # botocore raises classes made at run time; a start must name every cause
            reason = _reason(error)
            if not hasattr(error, "response"):  # AWS did not answer, so it would not answer for the next secret either
                self._unreachable[region] = reason
            raise SecretUnavailable(f"{address} cannot be read ({reason})") from error
        if "SecretString" not in answer:
            raise SecretUnavailable(f"{address} cannot be read (the secret is binary, not text)")
        return str(answer["SecretString"])


def fetch_secret(address: str) -> SecretText:
    """One secret, as it is now. Blocks on the network (at most about 10 s). Raises SecretUnavailable."""
    return SecretReader().read(address)


def _member(text: str, key: str, address: str) -> str:
    try:
        return str(json.loads(text)[key])
    except (ValueError, TypeError, KeyError):
        raise SecretUnavailable(f"{address} cannot be read (the secret is no JSON object with that key)") from None


def _reason(error: Exception) -> str:
    """AWS's own code where it gave one, such as AccessDeniedException; its message could hold more than we want to print."""
    answer = getattr(error, "response", None)
    code = answer.get("Error", {}).get("Code", "") if isinstance(answer, dict) else ""
    return str(code) or type(error).__name__


def _client(region: str) -> Any:
    import boto3
    from botocore.config import Config

    timeouts = Config(connect_timeout=2, read_timeout=3, retries={"max_attempts": 2})
    return boto3.client("secretsmanager", region_name=region, config=timeouts)
