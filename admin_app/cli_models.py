"""The command line's `model`: what administrators add to the shipped models.

Knows `core`, and the names of the shipped models as they are handed in. Each command gives a document for programs and a text
for people.
"""

from __future__ import annotations

from argparse import Namespace

from admin_app import listings
from admin_app import model_operations as does
from admin_app.cli_desk import Answer, Desk, Words
from core import model_rows
from core.model_ids import PREFIXES


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("model", "models added to the shipped ones")
    add = verbs.verb("add", _add, "add a model, or say how one is reached")
    add.add_argument("name", metavar="NAME", help="as clients name it; exactly this")
    add.add_argument("--bedrock", required=True, metavar="ID_OR_ARN", help="anthropic.claude-..., or an ARN")
    add.add_argument("--like", metavar="MODEL", help="the shipped model whose capabilities it has (NAME itself, if shipped)")
    prefixes = f"inference profiles that offer it: {', '.join(PREFIXES)}; none: no profile; left out: all of the region"
    add.add_argument("--prefix", action="append", default=[], metavar="PREFIX", help=prefixes)
    add.add_argument("--context-window", type=int, metavar="TOKENS")
    add.add_argument("--max-output", type=int, metavar="TOKENS")
    add.add_argument("--bedrock-key", metavar="ID", help="for this Bedrock key alone")
    verbs.verb("list", _list, "list what was added")
    verbs.verb("remove", _remove, "what is shipped holds again").add_argument("id", metavar="ID")


def _add(desk: Desk, arguments: Namespace) -> Answer:
    name = arguments.name.lower()
    new = does.AddedModel(
        model=name,
        bedrock=arguments.bedrock,
        like=arguments.like or name,
        prefixes=",".join(arguments.prefix),
        context_window=arguments.context_window,
        max_output=arguments.max_output,
        bedrock_key_id=arguments.bedrock_key,
    )
    row = desk.does(does.ADD, new)
    whose = f"the Bedrock key {new.bedrock_key_id}" if new.bedrock_key_id else "every Bedrock key that reaches it"
    text = f"Added {row.id}: {new.model} is {new.bedrock} for {whose}, within seconds in every worker."
    return Answer({"id": row.id}, text)


def _list(desk: Desk, _: Namespace) -> Answer:
    listing = listings.of_models(desk.database.read(model_rows.list_models))
    return Answer(listing.rows, listing.table)


def _remove(desk: Desk, arguments: Namespace) -> Answer:
    desk.does(does.REMOVE, does.TheModel(model_id=arguments.id))
    return Answer({"id": arguments.id, "removed": True}, f"Removed {arguments.id}.")
