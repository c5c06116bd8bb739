"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes. The one door to pyotp.

Functions on a Connection where they touch a row. Refuses to know HTTP. Invariants: a code is good once, and one time step of
30 s to either side; a recovery code is good once; the secret is stored sealed, recovery codes as digests of 120 random bits.
"""

from __future__ import annotations

import base64
import secrets
from datetime import datetime

import pyotp
from sqlalchemy import Connection, select, update

from core.access import Invalid, NotFound
from core.admin_models import admins
from core.crypto import hash_admin_secret, open_admin_vault

RECOVERY_CODES = 10
_STEP_S = 30
_ISSUER = "ClaudeCodeProxy"
_KIND = "recovery"


def new_secret() -> str:
    """160 random bits, base32, as authenticator apps take it."""
    return pyotp.random_base32()


def setup_address(secret: str, username: str) -> str:
    """What the QR code says."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=_ISSUER)


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that this code belongs to, if it is the last, this or the next one."""
    totp, this = pyotp.TOTP(secret), int(now.timestamp()) // _STEP_S
    matching = [step for step in (this - 1, this, this + 1) if pyotp.utils.strings_equal(totp.generate_otp(step), _plain(code))]
    return matching[-1] if matching else None


def turn_on(connection: Connection, admin_id: str, secret: str, code: str, server_secret: str, now: datetime) -> tuple[str, ...]:
    """From now on a code is asked for. Returns the recovery codes, the only time. Raises Invalid for a wrong code."""
    step = step_of(secret, code, now)
    if step is None:
        raise Invalid("this is not the app's code at this moment; check the clock of your phone")
    sealed = open_admin_vault(server_secret).seal(secret, admin_id)
    codes = tuple(_new_recovery_code() for _ in range(RECOVERY_CODES))
    values = {"totp_sealed": sealed, "totp_last_step": step, "recovery_hashes": _hashes(codes, server_secret), "updated_at": now}
    if connection.execute(update(admins).where(admins.c.id == admin_id).values(values)).rowcount == 0:
        raise NotFound(f"there is no admin {admin_id}")
    return codes


def turn_off(connection: Connection, admin_id: str, now: datetime) -> None:
    values = {"totp_sealed": b"", "totp_last_step": 0, "recovery_hashes": "", "updated_at": now}
    connection.execute(update(admins).where(admins.c.id == admin_id).values(values))


def use_code(connection: Connection, admin_id: str, code: str, server_secret: str, now: datetime) -> bool:
    """Whether this admin may pass with this code, which is then used up. True for who has no second factor.

    The row is locked meanwhile, so that of two with the same code one passes. Raises CannotOpen when the server secret is
    another than the factor was sealed with.
    """
    row = connection.execute(select(admins).where(admins.c.id == admin_id).with_for_update()).one_or_none()
    if row is None or not row.totp_sealed:
        return row is not None
    step = step_of(open_admin_vault(server_secret).open(row.totp_sealed, admin_id), code, now)
    if step is not None:
        if step <= row.totp_last_step:
            return False
        connection.execute(update(admins).where(admins.c.id == admin_id).values(totp_last_step=step))
        return True
    return _use_recovery_code(connection, admin_id, row.recovery_hashes.split(), _hashes((code,), server_secret))


def _use_recovery_code(connection: Connection, admin_id: str, stored: list[str], given: str) -> bool:
    if given not in stored:
        return False
    left = "\n".join(each for each in stored if each != given)
    connection.execute(update(admins).where(admins.c.id == admin_id).values(recovery_hashes=left))
    return True


def _new_recovery_code() -> str:
    """120 bits in four groups, for a person to write down."""
    text = base64.b32encode(secrets.token_bytes(15)).decode().lower()
    return "-".join(text[start : start + 6] for start in range(0, 24, 6))


def _hashes(codes: tuple[str, ...], server_secret: str) -> str:
    return "\n".join(hash_admin_secret(server_secret, _KIND, _plain(code)) for code in codes)


def _plain(code: str) -> str:
    """Without what people put between, in lower case."""
    return "".join(letter for letter in code.lower() if letter.isalnum() and letter.isascii())
