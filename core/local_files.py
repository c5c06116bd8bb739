"""The secrets of an installation: from the settings, and in `local` what is missing is made once, in files of its own.

Knows no database. Invariant: however many processes start at once, all of them use the same secrets; a file is never
seen half written, and nobody but its owner can read it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from core.crypto import hash_password
from core.settings import BadSettings, Settings

SERVER_SECRET, VAULT_KEY = "server_secret", "vault_key"
_PASSWORD_FILE = "admin_password_hash"


@dataclass(frozen=True, slots=True)
class LocalSecrets:
    """`admin_password_hash` is empty while `make_admin_password` has not run; `vault_key` is None outside `local`, and with KMS
    where there never was one."""

    server_secret: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    admin_password_hash: str = field(repr=False)
    vault_key: bytes | None = field(default=None, repr=False)


def ensure_local(settings: Settings) -> LocalSecrets:
    """The secrets in force. In `local` makes the data folder (0700) and the files (0600) that are missing.

    Outside `local` nothing is made: the settings have all. Raises BadSettings for a file that cannot be used or made. Whoever has
    a database asks `secret_marks.secrets_of`, which knows whether a file may be made.
    """
    if not settings.is_local:
        return LocalSecrets(settings.server_secret, settings.jwt_secret, settings.admin_password_hash)
    folder = _folder(settings)
    password_file = folder / _PASSWORD_FILE
    return LocalSecrets(
        server_secret=settings.server_secret or _text_secret(folder / SERVER_SECRET),
        jwt_secret=settings.jwt_secret or _text_secret(folder / "jwt_secret"),
        admin_password_hash=settings.admin_password_hash or (_read(password_file).decode() if password_file.exists() else ""),
        vault_key=_vault_key(folder / VAULT_KEY, is_needed=not settings.kms_key_id),
    )


def missing_files(settings: Settings) -> list[str]:
    """Of the secrets that a database is filled with: those that `ensure_local` would make."""
    needed = ((SERVER_SECRET, settings.server_secret), (VAULT_KEY, settings.kms_key_id))
    return [name for name, given in needed if settings.is_local and not given and not (settings.data_dir / name).exists()]


def lost_file(settings: Settings, name: str) -> str:
    """What to say of a secret that the database was filled with: another one would fit nothing in it."""
    loss = "no Bedrock key can be opened" if name == VAULT_KEY else "no access key is valid"
    return (
        f"{settings.data_dir / name}: is missing, and without it {loss} any more: restore it from a backup, or correct "
        "PROXY_DATA_DIR. To go on with a new one all the same: python -m admin_app secrets accept"
    )


def make_admin_password(settings: Settings, hash_clear: Callable[[str], str] = hash_password) -> str | None:
    """In `local`, if there is no admin password yet: makes one, keeps its hash, and returns it to this one caller.

    Apart from `ensure_local`, because whoever makes it must show it: a worker or a command with JSON output must not.
    Takes 0.25 s. None when there is one already, and outside `local`.
    """
    if not settings.is_local or settings.admin_password_hash or (_folder(settings) / _PASSWORD_FILE).exists():
        return None
    password = secrets.token_urlsafe(15)
    ours = hash_clear(password).encode()
    return password if _made_once(_folder(settings) / _PASSWORD_FILE, ours) == ours else None


def _folder(settings: Settings) -> Path:
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise BadSettings([f"PROXY_DATA_DIR: {folder} is no folder"]) from None
    except OSError as error:
        raise BadSettings([f"PROXY_DATA_DIR: {folder} cannot be made ({error.strerror})"]) from None
    return folder


def _text_secret(path: Path) -> str:
    text = _made_once(path, secrets.token_hex(32).encode()).decode()
    if len(text) < 32:
        raise BadSettings([f"{path}: must hold at least 32 characters; restore it (without it no key is valid any more)"])
    return text


def _vault_key(path: Path, is_needed: bool) -> bytes | None:
    """With KMS none is made; one that is there still opens what was sealed before."""
    if not is_needed and not path.exists():
        return None
    key = _made_once(path, secrets.token_bytes(32))
    if len(key) != 32:
        raise BadSettings([f"{path}: must hold exactly 32 bytes; restore it (without it no Bedrock key can be opened)"])
    return key


def _made_once(path: Path, content: bytes) -> bytes:
    """The file's content; ours if there was none. A hard link appears whole or, when another was faster, not at all."""
    if path.exists():
        return _read(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_private(draft, content)
        os.link(draft, path)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise BadSettings(
            [f"PROXY_DATA_DIR: {path} cannot be written ({error.strerror}): it needs room, and to be ours"]
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    return content


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return path.read_bytes()
