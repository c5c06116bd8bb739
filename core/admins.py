"""Administrators: who may sign in, as what (SPEC section 11).

Functions on a Connection, to be called inside `Database.run`. Refuses to know HTTP, and the clear text of a password (but for
the rules of a new one): hashing takes too long for a transaction. Invariants: there is always an active owner who is left;
the managed owner is changed by the settings alone (core/managed_owner.py); a change of password, role or status ends what was
signed in with before, in its own transaction. Every change returns what was before and what is after, for the audit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, or_, select, update

from core import admin_sessions, api_tokens
from core.access import Invalid, NameTaken, NotFound, Refused
from core.actor import Role
from core.admin_models import admins
from core.db import insert_new
from core.ids import new_id
from core.keyset import By, Order, Page, Place

_USERNAME = re.compile(r"[A-Za-z0-9._@+-]{1,100}")


class AdminStatus(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class LastOwner(Refused):
    """The change would leave nobody who can manage admins."""


class Managed(Refused):
    """This admin is defined by the settings."""


@dataclass(frozen=True, slots=True)
class Admin:
    """An admin as they may be shown: no secret."""

    id: str
    username: str
    role: Role
    status: AdminStatus
    is_managed: bool
    has_totp: bool
    recovery_codes_left: int
    password_changed_at: datetime
    last_sign_in_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Changed:
    before: Admin
    after: Admin


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """What a sign-in is checked against."""

    admin: Admin
    password_hash: str = field(repr=False)


def add_admin(connection: Connection, username: str, role: Role, password_hash: str, now: datetime) -> Admin:
    """A new active admin. Raises Invalid, NameTaken: names that differ in upper and lower case alone are the same."""
    if _USERNAME.fullmatch(username) is None:
        raise Invalid("a user name has 1 to 100 letters, digits and . _ @ + -")
    taken = select(admins.c.id).where(func.lower(admins.c.username) == username.lower())
    row = new_row(username, Role(role), password_hash, now)
    if connection.execute(taken).first() is not None or not insert_new(connection, admins, row):
        raise NameTaken(f"there is an admin named {username} already")
    return find_admin(connection, row["id"])


def find_admin(connection: Connection, name_or_id: str) -> Admin:
    """An id wins over a name. Raises NotFound."""
    matches = select(admins).where(or_(admins.c.id == name_or_id, admins.c.username == name_or_id))
    row = connection.execute(matches.order_by(admins.c.id != name_or_id)).first()
    if row is None:
        raise NotFound(f"there is no admin {name_or_id}")
    return as_admin(row)


def list_admins(connection: Connection) -> list[Admin]:
    """Disabled ones too, by name."""
    return [as_admin(row) for row in connection.execute(select(admins).order_by(admins.c.username))]


def admins_page(connection: Connection, limit: int, after: Place | None = None) -> Page[Admin]:
    """As `list_admins`, in part."""
    return Order((By(admins.c.username),)).page(connection, select(admins), limit, as_admin, after)


def owners_without_totp(connection: Connection) -> int:
    """How many active owners have a password alone."""
    return int(connection.execute(select(func.count()).select_from(admins).where(is_owner_without_totp())).scalar_one())


def is_owner_without_totp() -> ColumnElement[bool]:
    """An active owner whom a password alone lets in."""
    return and_(admins.c.role == Role.OWNER, admins.c.status == AdminStatus.ACTIVE, func.length(admins.c.totp_sealed) == 0)


def find_login(connection: Connection, username: str) -> StoredLogin | None:
    """For a sign-in, by the exact name; of disabled admins too, so that they take as long as anybody."""
    return _login(connection, select(admins).where(admins.c.username == username))


def lock_login(connection: Connection, username: str) -> StoredLogin | None:
    """As `find_login`, to the end of the transaction: no password and no status changes while somebody is let in."""
    return _login(connection, select(admins).where(admins.c.username == username).with_for_update())


def change_role(connection: Connection, admin_id: str, role: Role, now: datetime) -> Changed:
    """Ends their sessions; API tokens that may do more than the new role are revoked. Raises NotFound, Managed, LastOwner."""
    before = _changeable(connection, admin_id)
    if not role.includes(Role.OWNER):
        _check_another_owner_is_left(connection, before)
    if role == before.role:
        return Changed(before, before)
    admin_sessions.end_all(connection, before.id, now)
    api_tokens.revoke_above(connection, before.id, role, now)
    return _write(connection, before, {"role": Role(role)}, now)


def disable_admin(connection: Connection, admin_id: str, now: datetime) -> Changed:
    """Nobody signs in as them; sessions and API tokens end for good. Raises NotFound, Managed, LastOwner."""
    before = _changeable(connection, admin_id)
    _check_another_owner_is_left(connection, before)
    end_all_credentials(connection, before.id, now)
    return _write(connection, before, {"status": AdminStatus.DISABLED}, now)


def enable_admin(connection: Connection, admin_id: str, now: datetime) -> Changed:
    """Raises NotFound, Managed."""
    return _write(connection, _changeable(connection, admin_id), {"status": AdminStatus.ACTIVE}, now)


def set_password(connection: Connection, admin_id: str, password_hash: str, now: datetime, keep: str = "") -> Changed:
    """Ends all sessions but `keep`, and all API tokens. Raises NotFound, Managed."""
    before = _changeable(connection, admin_id)
    end_all_credentials(connection, before.id, now, keep)
    return _write(connection, before, {"password_hash": password_hash, "password_changed_at": now}, now)


def reset_totp(connection: Connection, admin_id: str, now: datetime) -> Changed:
    """Takes the second factor away, of the managed owner too: for who lost it. Ends their sessions. Raises NotFound."""
    before = _locked(connection, admin_id)
    admin_sessions.end_all(connection, before.id, now)
    return _write(connection, before, {"totp_sealed": b"", "totp_last_step": 0, "recovery_hashes": ""}, now)


def delete_admin(connection: Connection, admin_id: str) -> Admin:
    """For good, with sessions and API tokens; the audit keeps the name. Raises NotFound, Managed, LastOwner."""
    before = _changeable(connection, admin_id)
    _check_another_owner_is_left(connection, before)
    admin_sessions.delete_all(connection, before.id)
    api_tokens.delete_all(connection, before.id)
    connection.execute(delete(admins).where(admins.c.id == before.id))
    return before


def signed_in(connection: Connection, admin_id: str, now: datetime) -> None:
    connection.execute(update(admins).where(admins.c.id == admin_id).values(last_sign_in_at=now))


def end_all_credentials(connection: Connection, admin_id: str, now: datetime, keep: str = "") -> None:
    """Sessions (but `keep`), tokens of the API that were signed in for, and long-lived ones."""
    admin_sessions.end_all(connection, admin_id, now, keep)
    api_tokens.revoke_above(connection, admin_id, None, now)


def new_row(username: str, role: Role, password_hash: str, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id("adm"),
        "username": username,
        "role": role,
        "status": AdminStatus.ACTIVE,
        "is_managed": False,
        "password_hash": password_hash,
        "totp_sealed": b"",
        "totp_last_step": 0,
        "recovery_hashes": "",
        "password_changed_at": now,
        "created_at": now,
        "updated_at": now,
    }


def as_admin(row: Row[Any]) -> Admin:
    """A row of the table `admins`, without what must not be shown."""
    return Admin(
        row.id, row.username, Role(row.role), AdminStatus(row.status), row.is_managed,
        bool(row.totp_sealed), len(row.recovery_hashes.split()), row.password_changed_at, row.last_sign_in_at, row.created_at,
    )  # fmt: skip


def how_managed(admin: Admin) -> str:
    """Why the managed owner is not changed here, and where to."""
    where = "PROXY_ADMIN_USERNAME and PROXY_ADMIN_PASSWORD_HASH; change those"
    made = "for a password that the first start made, delete admin_password_hash in the data folder and start again"
    return f"{admin.username} is defined by {where}, or {made}"


def _login(connection: Connection, query: Select[Any]) -> StoredLogin | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else StoredLogin(as_admin(row), row.password_hash)


def _locked(connection: Connection, admin_id: str) -> Admin:
    """Changes wait for each other: of two owners who would each leave the other alone only one may. Raises NotFound."""
    connection.execute(select(admins.c.id).order_by(admins.c.id).with_for_update())  # all in one order: no deadlock
    row = connection.execute(select(admins).where(admins.c.id == admin_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no admin {admin_id}")
    return as_admin(row)


def _changeable(connection: Connection, admin_id: str) -> Admin:
    """Raises NotFound, Managed."""
    admin = _locked(connection, admin_id)
    if admin.is_managed:
        raise Managed(how_managed(admin))
    return admin


def _check_another_owner_is_left(connection: Connection, leaving: Admin) -> None:
    if leaving.role != Role.OWNER or leaving.status != AdminStatus.ACTIVE:
        return
    others = (admins.c.role == Role.OWNER, admins.c.status == AdminStatus.ACTIVE, admins.c.id != leaving.id)
    if connection.execute(select(admins.c.id).where(*others)).first() is None:
        raise LastOwner(f"the last active owner is {leaving.username}; make somebody else owner first")


def _write(connection: Connection, before: Admin, values: dict[str, Any], now: datetime) -> Changed:
    connection.execute(update(admins).where(admins.c.id == before.id).values(**values, updated_at=now))
    return Changed(before, replace(find_admin(connection, before.id)))
