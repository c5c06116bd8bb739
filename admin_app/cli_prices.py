"""The command line's `price`: what administrators lay over the shipped prices. Knows words and answers; the rules are in core.

Invariant: nothing that is recorded changes: a price holds for requests that begin at its moment or later and are not over yet.
"""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from decimal import Decimal

from admin_app import listings
from admin_app import price_operations as does
from admin_app.cli_desk import Answer, Desk, Words
from admin_app.cli_values import moment
from core import price_rows


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("price", "prices laid over the shipped ones, in dollars per million tokens")
    put = verbs.verb("set", _set, "what a model costs from a moment on")
    put.add_argument("model", metavar="MODEL")
    put.add_argument("--input", required=True, type=_amount, metavar="USD")
    put.add_argument("--output", required=True, type=_amount, metavar="USD")
    put.add_argument("--cache-write-5m", type=_amount, metavar="USD", help="1.25 times the input's price, if left out")
    put.add_argument("--cache-write-1h", type=_amount, metavar="USD", help="twice the input's price, if left out")
    put.add_argument("--cache-read", type=_amount, metavar="USD", help="a tenth of the input's price, if left out")
    put.add_argument("--geo-factor", type=_amount, metavar="FACTOR", help="for geographic profiles; as before, if left out")
    put.add_argument("--us-gov-factor", type=_amount, metavar="FACTOR", help="as before, if left out")
    put.add_argument("--from", dest="since", type=moment, metavar="TIME", help="2027-01-31 or 2027-01-31T12:00, UTC (now)")
    verbs.verb("list", _list, "what was set")
    verbs.verb("remove", _remove, "what held before holds again").add_argument("id", metavar="ID")


def _set(desk: Desk, arguments: Namespace) -> Answer:
    since = arguments.since or desk.now()
    amounts = {name: getattr(arguments, name) for name in does.AMOUNTS}
    stored = desk.does(does.SET, does.NewPrice(model=arguments.model, since=since, **amounts))
    text = f"Set {stored.id}: {stored.model} from {listings.moment(since)} on, within seconds in every worker."
    return Answer({"id": stored.id, "model": stored.model}, text)


def _list(desk: Desk, _: Namespace) -> Answer:
    listing = listings.of_prices(desk.database.read(price_rows.list_prices))
    return Answer(listing.rows, listing.table)


def _remove(desk: Desk, arguments: Namespace) -> Answer:
    desk.does(does.REMOVE, does.ThePrice(price_id=arguments.id))
    return Answer({"id": arguments.id, "removed": True}, f"Removed {arguments.id}.")


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except ArithmeticError:
        raise ArgumentTypeError("must be a number") from None
    if not amount.is_finite() or amount < 0:
        raise ArgumentTypeError("must be a number, 0 or more")
    return amount
