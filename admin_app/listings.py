"""What the command line shows of users, keys and learned repairs: a document for programs, a table for people.

Pure. Invariant: nothing secret is in it; of a key only its first characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from core.access import AccessKey, User
from core.bedrock_keys import AttachedBedrockKey
from core.repairs import RepairRow

Listing = tuple[list[dict[str, Any]], str]


def of_users(users: Sequence[User]) -> Listing:
    rows = [
        {"id": user.id, "name": user.name, "strategy": user.strategy.value, "status": user.status.value,
         "created_at": _time(user.created_at)}
        for user in users
    ]  # fmt: skip
    return rows, _table(rows, "There are no users yet. Add one: python -m admin_app user add NAME")


def of_access_keys(keys: Sequence[AccessKey], now: datetime) -> Listing:
    rows = [
        {"id": key.id, "user": key.user_name, "prefix": key.prefix, "name": key.options.name,
         "status": _status(key, now), "expires_at": _time(key.options.expires_at),
         "last_seen_at": _time(key.last_seen_at), "created_at": _time(key.created_at)}
        for key in keys
    ]  # fmt: skip
    return rows, _table(rows, "There are no keys yet. Issue one: python -m admin_app key issue --user NAME")


def of_bedrock_keys(keys: Sequence[AttachedBedrockKey]) -> Listing:
    rows = [
        {"id": each.key.id, "user_id": each.user_id, "access_key_id": each.access_key_id, "region": each.key.region,
         "residency": each.key.residency.value, "health": each.key.health.value, "reason": each.health_reason,
         "tested_at": _time(each.tested_at), "created_at": _time(each.created_at)}
        for each in keys
    ]  # fmt: skip
    return rows, _table(rows, "There are no Bedrock keys yet. Attach one: python -m admin_app bedrock-key add --help")


def of_repairs(rows: Sequence[RepairRow]) -> Listing:
    shown = [
        {"id": row.id, "bedrock_key_id": row.bedrock_key_id, "region": row.region, "model": row.model, "kind": row.kind,
         "name": row.name, "standing": row.standing, "learned_at": moment(row.learned_at), "expires_at": moment(row.expires_at)}
        for row in rows
    ]  # fmt: skip
    return shown, _table(shown, "Nothing was learned, or all of it has expired.")


def _status(key: AccessKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.options.expires_at is not None and key.options.expires_at <= now else "active"


def moment(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(time: datetime | None) -> str | None:
    return None if time is None else moment(time)


def _table(rows: Sequence[dict[str, Any]], if_empty: str) -> str:
    if not rows:
        return if_empty
    lines = [list(rows[0])] + [["-" if value in (None, "") else str(value) for value in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
