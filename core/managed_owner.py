"""The managed owner: the one admin whom the settings define (SPEC section 11).

Functions on a Connection. Invariant: after `ensure_managed_owner` exactly one admin is managed, with the settings' name and
hash, active and owner; a hash or a name that changed ended everything that was signed in with the one before. A second factor
stays as it is: it is the person's, not the settings'.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from core.actor import Role
from core.admin_models import admins
from core.admins import Admin, AdminStatus, end_all_credentials, find_admin, new_row
from core.db import insert_new


def ensure_managed_owner(connection: Connection, username: str, password_hash: str, now: datetime) -> Admin:
    """Creates or updates. Whoever had the name before is the managed owner from now on; who was it under another name, while
    an admin of the new name exists, is disabled. Safe when several workers start at once."""
    if connection.execute(select(admins.c.id).where(admins.c.is_managed)).first() is None:
        insert_new(connection, admins, new_row(username, Role.OWNER, password_hash, now))
    concerned = or_(admins.c.is_managed, admins.c.username == username)
    rows = connection.execute(select(admins).where(concerned).order_by(admins.c.id).with_for_update()).all()
    chosen = next((row for row in rows if row.username == username), rows[0])
    for other in (row for row in rows if row.id != chosen.id):
        _retire(connection, other.id, now)
    wanted = {"username": username, "role": Role.OWNER, "status": AdminStatus.ACTIVE, "is_managed": True}
    if chosen.password_hash != password_hash:
        wanted |= {"password_hash": password_hash, "password_changed_at": now}
    if any(getattr(chosen, name) != value for name, value in wanted.items()):
        end_all_credentials(connection, chosen.id, now)
        connection.execute(update(admins).where(admins.c.id == chosen.id).values(**wanted, updated_at=now))
    return find_admin(connection, chosen.id)


def _retire(connection: Connection, admin_id: str, now: datetime) -> None:
    end_all_credentials(connection, admin_id, now)
    values = {"is_managed": False, "status": AdminStatus.DISABLED, "updated_at": now}
    connection.execute(update(admins).where(admins.c.id == admin_id).values(values))
