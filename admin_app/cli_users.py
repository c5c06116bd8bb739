"""The command line's `user`: developers. Knows words and answers, no SQL; the rules are in core."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from admin_app import listings
from admin_app import user_operations as does
from admin_app.cli_desk import Answer, Desk, Words
from admin_app.cli_values import optional, or_none, strategy, usd
from admin_app.fields import usd as dollars
from core import access_keys, bedrock_keys, users
from core.types import Strategy


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("user", "developers")
    add = verbs.verb("add", _add, "add a user")
    add.add_argument("name", metavar="NAME")
    _add_profile(add)
    change = verbs.verb("set", _set, "change a user; what is not named stays as it is")
    change.add_argument("user", metavar="NAME_OR_ID")
    optional(change, "--name", "name", str, metavar="NAME")
    _add_profile(change)
    listed = verbs.verb("list", _list, "list the users that are not deleted")
    listed.add_argument("--csv", action="store_true", help="for a spreadsheet")
    for name, command, help_text in (
        ("show", _show, "all about a user, with their keys"),
        ("activate", _activate, "let an inactive user in again"),
        ("deactivate", _deactivate, "cut all keys of a user, until they are activated again"),
        ("delete", _delete, "for good: revokes their keys, destroys their Bedrock keys"),
    ):
        verbs.verb(name, command, help_text).add_argument("user", metavar="NAME_OR_ID")


def _add_profile(parser: ArgumentParser) -> None:
    optional(parser, "--strategy", "strategy", strategy, metavar="|".join(Strategy))
    optional(parser, "--budget", "monthly_budget_micros", or_none(usd), metavar="USD", help="a month, on Bedrock; or none")
    optional(parser, "--email", "email", str)
    optional(parser, "--note", "note", str)


def _add(desk: Desk, arguments: Namespace) -> Answer:
    user = desk.does(does.ADD, does.NewUser(name=arguments.name, **_given(arguments)))
    return Answer({"id": user.id}, f"Added {user.name}, {user.id}.\nNext: python -m admin_app key issue --user {user.id}")


def _set(desk: Desk, arguments: Namespace) -> Answer:
    found, given = desk.user(arguments.user), _given(arguments)
    if "name" in vars(arguments):
        given["name"] = arguments.name
    desk.does(does.CHANGE, does.ChangedUser(user_id=found.id, **given))
    after = desk.user(found.id)
    return Answer(listings.of_user(after), f"Changed {after.name}.")


def _given(arguments: Namespace) -> dict[str, Any]:
    """What was said of the profile, as the operations take it."""
    given = vars(arguments)
    values: dict[str, Any] = {name: given[name] for name in ("strategy", "email", "note") if name in given}
    if "monthly_budget_micros" in given:
        values["monthly_budget_usd"] = dollars(given["monthly_budget_micros"])
    return values


def _list(desk: Desk, arguments: Namespace) -> Answer:
    listing = listings.of_users(desk.database.read(users.list_users))
    return Answer(listing.rows, listing.csv if arguments.csv else listing.table)


def _show(desk: Desk, arguments: Namespace) -> Answer:
    user, now = desk.user(arguments.user), desk.now()
    keys = listings.of_access_keys(desk.database.read(lambda c: access_keys.list_keys(c, user.id)), now)
    attached = listings.of_bedrock_keys(desk.database.read(lambda c: bedrock_keys.list_bedrock_keys(c, user.id)), now)
    row = listings.of_user(user)
    facts = "\n".join(f"{name + ':':<20} {'-' if value in (None, '') else value}" for name, value in row.items())
    text = f"{facts}\n\nAccess keys\n{keys.table}\n\nBedrock keys, in the order in which they are tried\n{attached.table}"
    return Answer({**row, "keys": keys.rows, "bedrock_keys": attached.rows}, text)


def _activate(desk: Desk, arguments: Namespace) -> Answer:
    user = desk.user(arguments.user)
    desk.does(does.ACTIVATE, does.TheUser(user_id=user.id))
    return Answer({"id": user.id, "status": "active"}, f"{user.name} is active; their keys are good again.")


def _deactivate(desk: Desk, arguments: Namespace) -> Answer:
    user = desk.user(arguments.user)
    desk.does(does.DEACTIVATE, does.TheUser(user_id=user.id))
    return Answer({"id": user.id, "status": "inactive"}, f"{user.name} is inactive; their keys are refused from now on.")


def _delete(desk: Desk, arguments: Namespace) -> Answer:
    user = desk.user(arguments.user)
    desk.does(does.DELETE, does.TheUser(user_id=user.id))
    text = f"{user.name} is deleted: their keys are revoked, their Bedrock keys destroyed. The ledger keeps what they used."
    return Answer({"id": user.id, "status": "deleted"}, text)
