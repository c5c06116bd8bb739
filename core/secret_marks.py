"""Which secrets a database belongs to: beside what it was filled with lies a mark of each, which tells nothing of the secret.

Knows no file; those are `local_files`. Invariants: a secret is made only for a database that holds nothing of another one; a
database that was begun with a secret is served and changed with no other before somebody accepts that one by name.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, inspect, select

from core.db import Database, DatabaseAway, upsert
from core.local_files import SERVER_SECRET, VAULT_KEY, LocalSecrets, ensure_local, lost_file, missing_files
from core.models import access_keys, bedrock_keys, jobs, secret_marks
from core.retention import PURGE
from core.settings import BadSettings, Settings

_MARK_DIGITS = 16

Marks = Mapping[str, str]  # of each secret by its name


@dataclass(frozen=True, slots=True)
class Accepted:
    """The marks before and after, and what is of no use any more."""

    before: Marks
    after: Marks
    access_keys: int
    bedrock_keys: int


def secrets_of(settings: Settings, database: Database) -> LocalSecrets:
    """The secrets in force, which are the database's own; in `local` what a new installation lacks is made.

    Raises BadSettings for others, and where one would have to be made with the database away: then the files that are there are
    taken for the right ones.
    """
    if missing := missing_files(settings):
        try:
            begun = database.read(_begun_with)
        except DatabaseAway as away:
            raise BadSettings([_unknown(settings, missing, away)]) from None
        # Looked for again: a worker that began beside this one makes the files first and then marks the database.
        if lost := [name for name in missing_files(settings) if name in begun]:
            raise BadSettings([lost_file(settings, name) for name in lost])
    local = ensure_local(settings)
    ours = marks_of(settings, local)
    try:
        theirs = database.read(marks_in)
        if theirs is not None and ours.keys() - theirs.keys():
            theirs = database.run(lambda connection: _completed(connection, ours))
    except DatabaseAway:
        return local
    if problems := [_other(name, mark, ours[name]) for name, mark in (theirs or {}).items() if ours.get(name, mark) != mark]:
        raise BadSettings(problems)
    return local


def marks_of(settings: Settings, local: LocalSecrets) -> Marks:
    """Of the secrets that this installation fills a database with."""
    marks = {SERVER_SECRET: _mark(local.server_secret.encode())}
    if local.vault_key is not None and not settings.kms_key_id:
        marks[VAULT_KEY] = _mark(local.vault_key)
    return marks


def marks_in(connection: Connection) -> Marks | None:
    """Those that the database has; None where it has no place for them yet."""
    if not inspect(connection).has_table(secret_marks.name):
        return None
    return {row.name: row.mark for row in connection.execute(select(secret_marks))}


def accept(connection: Connection, settings: Settings, local: LocalSecrets) -> Accepted:
    """The database belongs to these secrets from now on, whatever it was filled with."""
    _queue_up(connection)
    before = marks_in(connection) or {}
    after = {**before, **marks_of(settings, local)}  # with KMS nothing is said of a vault_key, and its mark stays
    changed = {name for name, mark in after.items() if before.get(name) != mark}
    _write(connection, {name: after[name] for name in changed})
    keys = connection.execute(select(access_keys.c.id).where(access_keys.c.revoked_at.is_(None))).all()
    sealed = connection.execute(select(bedrock_keys.c.id).where(bedrock_keys.c.deleted_at.is_(None))).all()
    return Accepted(before, after, len(keys) * (SERVER_SECRET in changed), len(sealed) * (VAULT_KEY in changed))


def _begun_with(connection: Connection) -> set[str]:
    """The names of the secrets that something in it was made with; a database of an earlier release has keys and no marks."""
    if not inspect(connection).has_table(access_keys.name):
        return set()
    begun = set(marks_in(connection) or {})
    for name, table in ((SERVER_SECRET, access_keys), (VAULT_KEY, bedrock_keys)):
        if connection.execute(select(table.c.id).limit(1)).first() is not None:
            begun.add(name)
    return begun


def _completed(connection: Connection, ours: Marks) -> Marks:
    """Who comes first writes: of two servers that begin at once one finds the other's."""
    _queue_up(connection)
    theirs = marks_in(connection) or {}
    _write(connection, {name: mark for name, mark in ours.items() if name not in theirs})
    return {**ours, **theirs}


def _queue_up(connection: Connection) -> None:
    connection.execute(select(jobs.c.name).where(jobs.c.name == PURGE).with_for_update())


def _write(connection: Connection, marks: Marks) -> None:
    now = datetime.now(UTC)
    upsert(
        connection, secret_marks, [{"name": name, "mark": mark, "since": now} for name, mark in sorted(marks.items())], ["name"]
    )


def _unknown(settings: Settings, missing: list[str], away: DatabaseAway) -> str:
    return (
        f"{', '.join(missing)} in {settings.data_dir}: there is none, and the database, which knows whether one may be made, "
        f"cannot be reached ({away})"
    )


def _mark(secret: bytes) -> str:
    return hmac.digest(secret, b"the mark of a secret", "sha256").hex()[:_MARK_DIGITS]


def _other(name: str, theirs: str, ours: str) -> str:
    what = "PROXY_SERVER_SECRET, or server_secret in PROXY_DATA_DIR" if name == SERVER_SECRET else "vault_key in PROXY_DATA_DIR"
    return (
        f"{what}: this database belongs to another {name} (its mark is {theirs}, ours {ours}): restore that one, give all "
        "servers of a database the same, or correct the database's address. To go on with ours all the same: "
        "python -m admin_app secrets accept"
    )
