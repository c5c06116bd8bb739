"""The command line's `user`: developers. Knows words and answers, no SQL; the rules are in core."""

from __future__ import annotations

from argparse import Namespace

from admin_app import listings
from admin_app.cli_desk import Answer, Desk, Words
from core import users
from core.access import Limits
from core.types import Strategy


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("user", "developers")
    add = verbs.verb("add", _add, "add a user")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--strategy", choices=[strategy.value for strategy in Strategy], default=Strategy.PLAN_FIRST.value)
    verbs.verb("list", _list, "list the users")
    verbs.verb("deactivate", _deactivate, "cut all keys of a user").add_argument("name", metavar="NAME_OR_ID")


def _add(desk: Desk, arguments: Namespace) -> Answer:
    strategy, limits = Strategy(arguments.strategy), Limits.of(desk.settings)
    user = desk.database.run(lambda c: users.add_user(c, arguments.name, strategy, limits, desk.now()))
    return Answer({"id": user.id}, f"Added {user.name}, {user.id}.\nNext: python -m admin_app key issue --user {user.id}")


def _list(desk: Desk, _: Namespace) -> Answer:
    return Answer(*listings.of_users(desk.database.read(users.list_users)))


def _deactivate(desk: Desk, arguments: Namespace) -> Answer:
    user = desk.user(arguments.name)
    desk.database.run(lambda c: users.deactivate_user(c, user.id, desk.now()))
    return Answer({"id": user.id, "status": "inactive"}, f"{user.name} is inactive; their keys are refused from now on.")
