"""The command line's `key`: access keys. Knows words and answers, no SQL; the rules are in core.

Invariant: a key's text is in the answer of the command that made it, and in no other.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import datetime, timedelta
from typing import Any

from admin_app import access_key_operations as does
from admin_app import claim_operations, listings
from admin_app.cli_desk import Answer, Desk, Words
from admin_app.cli_values import count, days, optional, or_none, seconds, strategy, usd
from admin_app.fields import usd as dollars
from admin_app.operation import Doing
from core import access_keys, claims

_GRACE_S = 300.0


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("key", "access keys")
    issue = verbs.verb("issue", _issue, "issue a key and show it once")
    link = verbs.verb("link", _link, "a link with which somebody gets a key themselves, once")
    link.add_argument("--withdraw", action="store_true", help="end the user's links that are not used yet, and make none")
    for parser in (issue, link):
        parser.add_argument("--user", required=True, metavar="NAME_OR_ID")
        _add_options(parser)
    change = verbs.verb("set", _set, "change a key; what is not named stays as it is")
    change.add_argument("id", metavar="ID")
    _add_options(change)
    rotate = verbs.verb("rotate", _rotate, "a new secret for the same key")
    rotate.add_argument("id", metavar="ID")
    help_text = "how long the old one stays good (300)"
    rotate.add_argument("--grace", "--grace-s", dest="grace_s", type=seconds, default=_GRACE_S, metavar="SECONDS", help=help_text)
    verbs.verb("revoke", _revoke, "end a key for good").add_argument("id", metavar="ID")
    listed = verbs.verb("list", _list, "list keys, never their text")
    listed.add_argument("--user", metavar="NAME_OR_ID")
    listed.add_argument("--csv", action="store_true", help="for a spreadsheet")


def _add_options(parser: ArgumentParser) -> None:
    optional(parser, "--name", "name", str)
    optional(parser, "--expires-days", "expires_days", or_none(days), metavar="DAYS", help="from now; or none")
    optional(parser, "--strategy", "strategy", or_none(strategy), help="none: the user's")
    optional(parser, "--budget", "monthly_budget_micros", or_none(usd), metavar="USD", help="a month, on Bedrock; or none")
    optional(parser, "--requests-per-minute", "requests_per_minute", or_none(count), metavar="N", help="messages; or none")


def _chosen(arguments: Namespace, now: datetime) -> dict[str, Any]:
    """What was said of a key's options, as the operations take it."""
    given = vars(arguments)
    values: dict[str, Any] = {name: given[name] for name in ("name", "strategy", "requests_per_minute") if name in given}
    if "monthly_budget_micros" in given:
        values["monthly_budget_usd"] = dollars(given["monthly_budget_micros"])
    if "expires_days" in given:
        values["expires_at"] = None if given["expires_days"] is None else now + timedelta(days=given["expires_days"])
    return values


def _issue(desk: Desk, arguments: Namespace) -> Answer:
    user = desk.user(arguments.user)
    issued = desk.does(does.ISSUE, does.NewKey(user_id=user.id, **_chosen(arguments, desk.now())))
    text = f"Issued {issued.id} for {user.name}. The key is shown this once:\n\n    {issued.access_key}\n\n    "
    return Answer({"id": issued.id, "access_key": issued.access_key}, text + desk.link(issued.access_key))


def _link(desk: Desk, arguments: Namespace) -> Answer:
    user = desk.user(arguments.user)
    if arguments.withdraw:
        ended = desk.change(lambda doing: _withdraw(doing, user.id))
        return Answer({"withdrawn": ended}, f"Withdrew {ended} link{'s' * (ended != 1)} of {user.name}.")
    claim = desk.does(claim_operations.OPEN, claim_operations.NewLink(user_id=user.id, **_chosen(arguments, desk.now())))
    until = f"{claim.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    text = f"Send this to {user.name}. Whoever opens it first gets a key; good once, until {until}:\n\n    {claim.url}"
    return Answer({"id": claim.id, "url": claim.url, "expires_at": until}, text)


def _withdraw(doing: Doing, user_id: str) -> int:
    ended = claims.withdraw_claims(doing.connection, user_id)
    doing.note("link.withdraw_all", user_id, {"withdrawn": ended}, {})
    return ended


def _set(desk: Desk, arguments: Namespace) -> Answer:
    now = desk.now()
    desk.does(does.CHANGE, does.ChangedKey(key_id=arguments.id, **_chosen(arguments, now)))
    key = desk.database.read(lambda c: access_keys.find_key(c, arguments.id))
    [row] = listings.of_access_keys([key], now).rows
    return Answer(row, f"Changed {key.id} of {key.user_name}.")


def _rotate(desk: Desk, arguments: Namespace) -> Answer:
    issued = desk.does(does.ROTATE, does.RotatedKey(key_id=arguments.id, grace_s=arguments.grace_s))
    text = f"Rotated {issued.id}; the old key is good for {arguments.grace_s:g} s more. The new one is shown this once:"
    shown = f"{text}\n\n    {issued.access_key}\n\n    {desk.link(issued.access_key)}"
    return Answer({"id": issued.id, "access_key": issued.access_key}, shown)


def _revoke(desk: Desk, arguments: Namespace) -> Answer:
    desk.does(does.REVOKE, does.TheKey(key_id=arguments.id))
    return Answer({"id": arguments.id, "revoked": True}, f"Revoked {arguments.id}.")


def _list(desk: Desk, arguments: Namespace) -> Answer:
    user_id = desk.user(arguments.user).id if arguments.user else None
    listing = listings.of_access_keys(desk.database.read(lambda c: access_keys.list_keys(c, user_id)), desk.now())
    return Answer(listing.rows, listing.csv if arguments.csv else listing.table)
