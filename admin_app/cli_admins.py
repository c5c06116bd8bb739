"""The command line's `admin`: who administers. Knows words and answers, no SQL; the rules are in core.

Invariant: a password is made here, never given, and is in the answer of the command that made it, and in no other.
"""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from typing import Any

from admin_app import admin_operations as does
from admin_app.cli_desk import Answer, Desk, Words
from admin_app.listings import of_admins
from core import admins
from core.actor import Role
from core.admins import Admin


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("admin", "administrators")
    create = verbs.verb("create", _create, "add an admin, with a password that is shown once")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--role", type=_role, default=Role.VIEWER, metavar="|".join(Role), help="viewer unless given")
    verbs.verb("list", _list, "list all, disabled ones too")
    change = verbs.verb("set-role", _set_role, "change what an admin may do; ends their sessions")
    change.add_argument("admin", metavar="NAME_OR_ID")
    change.add_argument("role", type=_role, metavar="|".join(Role))
    for name, command, help_text in (
        ("disable", _disable, "nobody signs in as them; ends their sessions and API tokens"),
        ("enable", _enable, "let a disabled admin sign in again"),
        ("delete", _delete, "for good"),
        ("reset-password", _reset_password, "a new password, shown once; ends their sessions and API tokens"),
        ("reset-totp", _reset_totp, "take the second factor away from who lost it; ends their sessions"),
    ):
        verbs.verb(name, command, help_text).add_argument("admin", metavar="NAME_OR_ID")


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise ArgumentTypeError(f"must be one of {', '.join(Role)}") from None


def _create(desk: Desk, arguments: Namespace) -> Answer:
    admin = desk.does(does.ADD, does.NewAdmin(username=arguments.name, role=arguments.role))
    text = f"Added {admin.username}, {admin.role}. The password is shown this once:\n\n    {admin.password}"
    return Answer({"id": admin.id, "username": admin.username, "role": admin.role, "password": admin.password}, text)


def _list(desk: Desk, _: Namespace) -> Answer:
    listing = of_admins(desk.database.read(admins.list_admins))
    return Answer(listing.rows, listing.table)


def _set_role(desk: Desk, arguments: Namespace) -> Answer:
    found = _found(desk, arguments)
    after = desk.does(does.CHANGE, does.ChangedAdmin(admin_id=found.id, role=arguments.role))
    return Answer(_row(desk, after), f"{after.username} is {after.role} from now on, and has to sign in again.")


def _disable(desk: Desk, arguments: Namespace) -> Answer:
    after = desk.does(does.DISABLE, _the(desk, arguments))
    return Answer(_row(desk, after), f"{after.username} is disabled; sessions and API tokens have ended.")


def _enable(desk: Desk, arguments: Namespace) -> Answer:
    after = desk.does(does.ENABLE, _the(desk, arguments))
    return Answer(_row(desk, after), f"{after.username} may sign in again.")


def _delete(desk: Desk, arguments: Namespace) -> Answer:
    found = _found(desk, arguments)
    desk.does(does.DELETE, does.TheAdmin(admin_id=found.id))
    return Answer({"id": found.id, "deleted": True}, f"{found.username} is deleted, with sessions and API tokens.")


def _reset_password(desk: Desk, arguments: Namespace) -> Answer:
    found = _found(desk, arguments)
    made = desk.does(does.RESET_PASSWORD, does.NewPassword(admin_id=found.id))
    said = f"{found.username} has a new password; sessions and API tokens have ended. It is shown this once:"
    return Answer({"id": found.id, "password": made.password}, f"{said}\n\n    {made.password}")


def _reset_totp(desk: Desk, arguments: Namespace) -> Answer:
    after = desk.does(does.RESET_TOTP, _the(desk, arguments))
    return Answer(_row(desk, after), f"{after.username} signs in without a second factor, until they set one up again.")


def _found(desk: Desk, arguments: Namespace) -> Admin:
    return desk.database.read(lambda c: admins.find_admin(c, arguments.admin))


def _the(desk: Desk, arguments: Namespace) -> does.TheAdmin:
    return does.TheAdmin(admin_id=_found(desk, arguments).id)


def _row(desk: Desk, shown: does.AdminShown) -> dict[str, Any]:
    [row] = of_admins([desk.database.read(lambda c: admins.find_admin(c, shown.id))]).rows
    return row
