"""Bedrock keys of a test's own, and which ids were asked with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from core import bedrock_keys, users
from core.crypto import open_vault
from core.local_files import ensure_local
from core.types import Residency


def attach(stack: Any, developer: Any, secret: str, region: str = "us-east-1", residency: str = "global", after: str = "") -> str:
    """One more Bedrock key; its id. Keys are asked in the order of their ids, which one millisecond may give in any order."""
    new = bedrock_keys.NewBedrockKey(region, Residency(residency), secret)
    vault = open_vault(stack.settings, ensure_local(stack.settings))
    sealed = bedrock_keys.seal_bedrock_key(vault, new)
    while sealed.id <= after:
        sealed = bedrock_keys.seal_bedrock_key(vault, new)

    def attached(connection: Any) -> None:
        user = users.find_user(connection, developer.user_id)
        bedrock_keys.attach_bedrock_key(connection, user, new, sealed, datetime.now(UTC))

    stack.database.run(attached)
    return sealed.id


def ids_asked(stack: Any) -> list[str]:
    """The model id of each request to Bedrock, oldest first."""
    return [unquote(each["target"].split("/")[2]) for each in stack.bedrock_posts()]


def secrets_asked(stack: Any) -> list[str]:
    """The secret that each came with."""
    fields = ({name.lower(): value for name, value in each["headers"]} for each in stack.bedrock_posts())
    return [each["authorization"].removeprefix("Bearer ") for each in fields]
