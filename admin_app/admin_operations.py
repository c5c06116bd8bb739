"""What owners do with administrators: the declarations, and what each does through core (SPEC section 11).

Hashing a password takes long: it is done before the transaction. Invariant: a password that was made here is in the answer of
the operation that made it, and in no other; neither a password nor its hash is ever in the audit log.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from admin_app.cursors import after_of, listed
from admin_app.fields import Cursor, Id, Limit
from admin_app.operation import Doing, Listed, Nothing, Offer, Operation, Shape, Shown, Work, asks, changes
from admin_app.password_queue import Busy
from admin_app.secret_fields import SECRET
from core import admins
from core.access import Refused
from core.actor import Role
from core.admins import Admin, AdminStatus, Changed
from core.passwords import FEWEST_CHARS, MOST_CHARS, new_password

AdminName = Annotated[str, Meta(min_length=1, max_length=100, description="1 to 100 letters, digits and . _ @ + -")]
Password = Annotated[str, Meta(max_length=MOST_CHARS, description=f"{FEWEST_CHARS} to {MOST_CHARS} characters")]


class AdminShown(Shown, frozen=True, kw_only=True):
    """An administrator. `is_managed`: the settings define them, so their name, role and password are changed there."""

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


class AdminMade(AdminShown, frozen=True, kw_only=True):
    """`password` is told this once; null where an own one was given."""

    password: Annotated[str | None, SECRET]

    def __repr__(self) -> str:
        return f"AdminMade(id={self.id!r})"


class FindAdmins(Shape, frozen=True, kw_only=True):
    """All, disabled ones too, by name."""

    limit: Limit = 100
    cursor: Cursor = ""


class TheAdmin(Shape, frozen=True, kw_only=True):
    admin_id: Id


class NewAdmin(Shape, frozen=True, kw_only=True):
    """No `password`: one is made, and told once."""

    username: AdminName
    role: Role = Role.VIEWER
    password: Annotated[Password, SECRET] = ""

    def __repr__(self) -> str:
        return f"NewAdmin(username={self.username!r})"


class ChangedAdmin(Shape, frozen=True, kw_only=True):
    admin_id: Id
    role: Role


class NewPassword(Shape, frozen=True, kw_only=True):
    """No `password`: one is made, and told once."""

    admin_id: Id
    password: Annotated[Password, SECRET] = ""

    def __repr__(self) -> str:
        return f"NewPassword(admin_id={self.admin_id!r})"


def _find(doing: Doing, taken: FindAdmins) -> Listed[AdminShown]:
    return listed(doing, taken, admins.admins_page(doing.connection, taken.limit, after_of(doing, taken)), shown)


def _get(doing: Doing, taken: TheAdmin) -> AdminShown:
    return shown(admins.find_admin(doing.connection, taken.admin_id))


def _add(work: Work, taken: NewAdmin) -> AdminMade:
    made, hashed = _hashed(work, taken.password, taken.username)

    def add(doing: Doing) -> Admin:
        admin = admins.add_admin(doing.connection, taken.username, taken.role, hashed, doing.now)
        doing.note("admin.create", admin.id, {}, noted(admin))
        return admin

    return _made(work.change(add), made)


def _change_role(doing: Doing, taken: ChangedAdmin) -> AdminShown:
    found = admins.find_admin(doing.connection, taken.admin_id)
    return _changed(doing, "set_role", admins.change_role(doing.connection, found.id, taken.role, doing.now))


def _enable(doing: Doing, taken: TheAdmin) -> AdminShown:
    return _by(doing, taken, "enable", admins.enable_admin)


def _disable(doing: Doing, taken: TheAdmin) -> AdminShown:
    return _by(doing, taken, "disable", admins.disable_admin)


def _reset_totp(doing: Doing, taken: TheAdmin) -> AdminShown:
    return _by(doing, taken, "reset_second_factor", admins.reset_totp)


def _delete(doing: Doing, taken: TheAdmin) -> Nothing:
    found = admins.find_admin(doing.connection, taken.admin_id)
    before = admins.delete_admin(doing.connection, found.id)
    doing.note("admin.delete", before.id, noted(before), {})
    return Nothing()


def _reset_password(work: Work, taken: NewPassword) -> AdminMade:
    found = work.read(lambda doing: admins.find_admin(doing.connection, taken.admin_id))
    if found.is_managed:
        raise admins.Managed(admins.how_managed(found))  # before anybody waits for a hash
    made, hashed = _hashed(work, taken.password, found.username)

    def reset(doing: Doing) -> Admin:
        changed = admins.set_password(doing.connection, found.id, hashed, doing.now)
        _changed(doing, "reset_password", changed)
        return changed.after

    return _made(work.change(reset), made)


def _hashed(work: Work, given: str, username: str) -> tuple[str | None, str]:
    """The password that was made (None where one was given), and the hash. Raises Invalid, Refused."""
    made = None if given else new_password()
    try:
        return made, work.tools.hash_password(made or given, username)
    except Busy:
        raise Refused("too many passwords are being checked at this moment; please try again") from None


def _by(doing: Doing, taken: TheAdmin, verb: str, change: Callable[..., Changed]) -> AdminShown:
    found = admins.find_admin(doing.connection, taken.admin_id)
    return _changed(doing, verb, change(doing.connection, found.id, doing.now))


def _changed(doing: Doing, verb: str, changed: Changed) -> AdminShown:
    doing.note(f"admin.{verb}", changed.after.id, noted(changed.before), noted(changed.after))
    return shown(changed.after)


def shown(admin: Admin) -> AdminShown:
    return msgspec.convert(admin, AdminShown, from_attributes=True)


def _made(admin: Admin, password: str | None) -> AdminMade:
    return AdminMade(**msgspec.structs.asdict(shown(admin)), password=password)


def noted(admin: Admin) -> dict[str, Any]:
    """For the audit log."""
    named = {"username": admin.username, "role": admin.role, "status": admin.status, "second_factor": admin.has_totp}
    return {**named, "password_changed_at": admin.password_changed_at}


LIST = Operation("listAdmins", "All administrators", Role.OWNER, FindAdmins, Listed[AdminShown], asks(_find))
GET = Operation("getAdmin", "One administrator", Role.OWNER, TheAdmin, AdminShown, asks(_get))
ADD = Operation("createAdmin", "Add an administrator", Role.OWNER, NewAdmin, AdminMade, _add, is_sensitive=True)
CHANGE = Operation(
    "updateAdmin", "Change what an administrator may do", Role.OWNER, ChangedAdmin, AdminShown, changes(_change_role), True
)
ENABLE = Operation(
    "enableAdmin", "Let a disabled administrator sign in again", Role.OWNER, TheAdmin, AdminShown, changes(_enable), True
)
DISABLE = Operation(
    "disableAdmin", "Keep an administrator out", Role.OWNER, TheAdmin, AdminShown, changes(_disable), is_sensitive=True
)
RESET_PASSWORD = Operation(
    "resetAdminPassword", "A new password for an administrator", Role.OWNER, NewPassword, AdminMade, _reset_password, True
)
RESET_TOTP = Operation(
    "resetAdminSecondFactor", "Take a lost second factor away", Role.OWNER, TheAdmin, AdminShown, changes(_reset_totp), True
)
DELETE = Operation("deleteAdmin", "Delete an administrator, for good", Role.OWNER, TheAdmin, Nothing, changes(_delete), True)

OFFERS = (
    Offer("GET", "/admins", LIST, tag="Admins"),
    Offer("POST", "/admins", ADD, 201, tag="Admins"),
    Offer("GET", "/admins/{admin_id}", GET, tag="Admins"),
    Offer("PATCH", "/admins/{admin_id}", CHANGE, tag="Admins"),
    Offer("POST", "/admins/{admin_id}/enable", ENABLE, tag="Admins"),
    Offer("POST", "/admins/{admin_id}/disable", DISABLE, tag="Admins"),
    Offer("POST", "/admins/{admin_id}/reset-password", RESET_PASSWORD, tag="Admins"),
    Offer("POST", "/admins/{admin_id}/reset-second-factor", RESET_TOTP, tag="Admins"),
    Offer("DELETE", "/admins/{admin_id}", DELETE, 204, tag="Admins"),
)
