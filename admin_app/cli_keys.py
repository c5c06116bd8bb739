"""The command line's `key`: access keys. Knows words and answers, no SQL; the rules are in core.

Invariant: a key's text is in the answer of the command that made it, and in no other.
"""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from datetime import timedelta

from admin_app import listings
from admin_app.cli_desk import Answer, Desk, Words
from core import access_keys
from core.access import Limits


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("key", "access keys")
    issue = verbs.verb("issue", _issue, "issue a key and show it once")
    issue.add_argument("--user", required=True, metavar="NAME_OR_ID")
    issue.add_argument("--name", default="")
    issue.add_argument("--expires-days", type=_days, metavar="DAYS")
    rotate = verbs.verb("rotate", _rotate, "a new secret for the same key")
    rotate.add_argument("id", metavar="ID")
    rotate.add_argument("--grace-s", type=_grace, default=300.0, metavar="SECONDS", help="how long the old one stays good (300)")
    verbs.verb("revoke", _revoke, "end a key for good").add_argument("id", metavar="ID")
    verbs.verb("list", _list, "list keys, never their text").add_argument("--user", metavar="NAME_OR_ID")


def _issue(desk: Desk, arguments: Namespace) -> Answer:
    now, user = desk.now(), desk.user(arguments.user)
    expires_at = now + timedelta(days=arguments.expires_days) if arguments.expires_days else None
    options = access_keys.KeyOptions(name=arguments.name, expires_at=expires_at)
    secret, limits = desk.secrets.server_secret, Limits.of(desk.settings)
    issued = desk.database.run(lambda c: access_keys.issue_key(c, user, secret, limits, now, options))
    text = f"Issued {issued.id} for {user.name}. The key is shown this once:\n\n    {issued.access_key}\n\n    "
    return Answer({"id": issued.id, "access_key": issued.access_key}, text + desk.link(issued.access_key))


def _rotate(desk: Desk, arguments: Namespace) -> Answer:
    secret, now = desk.secrets.server_secret, desk.now()
    issued = desk.database.run(lambda c: access_keys.rotate_key(c, arguments.id, secret, arguments.grace_s, now))
    text = f"Rotated {issued.id}; the old key is good for {arguments.grace_s:g} s more. The new one is shown this once:"
    shown = f"{text}\n\n    {issued.access_key}\n\n    {desk.link(issued.access_key)}"
    return Answer({"id": issued.id, "access_key": issued.access_key}, shown)


def _revoke(desk: Desk, arguments: Namespace) -> Answer:
    desk.database.run(lambda c: access_keys.revoke_key(c, arguments.id, desk.now()))
    return Answer({"id": arguments.id, "revoked": True}, f"Revoked {arguments.id}.")


def _list(desk: Desk, arguments: Namespace) -> Answer:
    user_id = desk.user(arguments.user).id if arguments.user else None
    keys = desk.database.read(lambda c: access_keys.list_keys(c, user_id))
    return Answer(*listings.of_access_keys(keys, desk.now()))


def _days(text: str) -> float:
    days = float(text)
    if not 0 < days <= 36_500:
        raise ArgumentTypeError("must be a number of days above 0")
    return days


def _grace(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise ArgumentTypeError("must be 0 to 86400 seconds")
    return seconds
