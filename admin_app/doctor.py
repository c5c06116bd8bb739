"""The doctor's look at an installation from inside: files, secrets, the vault, the disk, what the release brings along.

Changes nothing of what it judges (but what is missing in `local` is made, as by every command). See `finding` for what it says.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import zoneinfo
from collections.abc import Iterator, Mapping
from pathlib import Path

from admin_app.finding import Finding, problem, warning, well
from core.crypto import CannotOpen, VaultAway, open_vault
from core.ledger_check import look_into_spools
from core.local_files import LocalSecrets
from core.numerals import many
from core.settings import BadSettings, Settings, describe_settings
from core.version import VERSION

_FILES = ("server_secret", "jwt_secret", "vault_key", "admin_password_hash")
_PROBE = "a value that the doctor seals and opens"
_LITTLE, _TOO_LITTLE = 1024**3, 100 * 1024**2
_MUCH_WAITS = 1000
_LEAST_COST = 10


def look_at_files(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Before the secrets are read: reading puts their modes right."""
    folder = settings.data_dir
    if not folder.exists():
        yield well("data folder", f"{folder} is not there yet; it is made when it is needed")
    elif not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield problem("data folder", f"{folder} cannot be written to", "Give it to the user that the proxy runs as, mode 700.")
    elif folder.stat().st_mode & 0o077:
        yield warning("data folder", f"others on this machine can look into {folder}", f"chmod 700 {folder}")
    else:
        yield well("data folder", f"{folder} is there, and ours alone")
    given = (Path(environ.get(f"{name}_FILE", "")) for name, _, _, is_secret in describe_settings() if is_secret)
    secret_files = [folder / name for name in _FILES] + [path for path in given if path.name]
    found = [path for path in secret_files if path.is_file()]
    for path in (each for each in found if each.stat().st_mode & 0o077):
        mend = f"chmod 600 {path}, and think about who may have read it: make a new secret if you are not sure."
        yield problem("secret files", f"others on this machine can read {path}", mend)
    if not any(path.stat().st_mode & 0o077 for path in found):
        yield well("secret files", f"{many(len(found), 'file')}, for nobody but the owner")


def look_at_secrets(secrets: LocalSecrets) -> Iterator[Finding]:
    mend = "Make another with: python -c 'import secrets; print(secrets.token_hex(32))'"
    short = [name for name in ("server_secret", "jwt_secret") if len(getattr(secrets, name).encode()) < 32]
    for name in short:
        yield problem("secrets", f"{name} has fewer than 32 bytes", f"{mend} (another server_secret ends all access keys)")
    if secrets.server_secret == secrets.jwt_secret:
        yield warning("secrets", "server_secret and jwt_secret are the same", f"Change PROXY_JWT_SECRET. {mend}")
    elif not short:
        yield well("secrets", "long enough, and different from each other")
    cost = re.search(r"\$2[aby]\$(\d\d)\$", secrets.admin_password_hash)
    if not secrets.admin_password_hash:
        mend = "Start once with: python -m admin_app serve --first-run; or: python -m admin_app admin create NAME --role owner"
        yield warning("managed owner", "no password yet: nobody but admins in the database can sign in", mend)
    elif cost is None or int(cost[1]) < _LEAST_COST:
        yield warning("managed owner", "the password's hash is quick to guess against", "Make one of cost 12: $2b$12$...")
    else:
        yield well("managed owner", f"has a password, bcrypt cost {int(cost[1])}")


def look_at_vault(settings: Settings, secrets: LocalSecrets) -> Iterator[Finding]:
    """Seals and opens a value; opened by another vault, which has no key in memory."""
    name = "KMS key" if settings.kms_key_id else "vault key"
    began = time.monotonic()
    try:
        sealed = open_vault(settings, secrets).seal(_PROBE, "doctor")
        opened = open_vault(settings, secrets).open(sealed, "doctor")
    except VaultAway as away:
        mend = "Check the network to KMS, its region and the task's credentials. Keys that are in memory go on working for a day."
        yield problem(name, str(away), mend)
    except CannotOpen as closed:
        mend = "Give the task's role kms:GenerateDataKey and kms:Decrypt on this key, and see that it is enabled."
        yield problem(name, str(closed), mend)
    except BadSettings as bad:
        yield problem(name, "; ".join(bad.problems), "Set PROXY_KMS_KEY_ID to the key's ARN.")
    else:
        took = f"in {(time.monotonic() - began) * 1000:.0f} ms"
        matches = opened == _PROBE
        yield well(name, f"sealed and opened a value {took}") if matches else problem(name, "opened another value", "Restore it.")


def look_at_disk(settings: Settings) -> Iterator[Finding]:
    folder = next((each for each in (settings.spool_dir, settings.data_dir) if each.is_dir()), Path.cwd())
    free = shutil.disk_usage(folder).free
    said = f"{free / 1024**2:,.0f} MB free where the spool is"
    if free < _LITTLE:
        make = problem if free < _TOO_LITTLE else warning
        yield make(
            "disk", said, "Make room: with a full disk records of requests wait in memory, and at last stand in the log alone."
        )
    else:
        yield well("disk", said)
    waiting = look_into_spools(settings.spool_dir)
    if waiting.damaged or waiting.dead:
        mend = "Keep the files, and bring the rows in from the log: python -m admin_app ledger import FILE"
        yield problem(
            "spool", f"{many(waiting.damaged, 'damaged line')}, {many(waiting.dead, 'record')} that no database took", mend
        )
    if waiting.records > _MUCH_WAITS:
        mend = "Is the database away, or did a worker end without being started again? A start writes what waits."
        yield warning("spool", f"waiting for the database: {many(waiting.records, 'record')}", mend)
    elif not (waiting.damaged or waiting.dead):
        yield well("spool", f"waiting: {many(waiting.records, 'record')} in {many(waiting.spools, 'file')}")


def look_at_release(zone: str) -> Iterator[Finding]:
    try:
        for name in ("Europe/Berlin", "America/New_York", zone):
            zoneinfo.ZoneInfo(name)
        yield well("time zones", f"known; budgets are of {zone}")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        yield problem("time zones", "the data of time zones is missing", "Install the lock file again: it holds tzdata.")
    from core.pages import Pages  # Jinja, for this look alone

    try:
        yield well("pages", f"{many(len(Pages(VERSION).files), 'file')} beside the pages, htmx among them")
    except OSError as error:
        yield problem(
            "pages",
            f"a file of the pages is missing ({type(error).__name__})",
            "make run installs it.",
        )
