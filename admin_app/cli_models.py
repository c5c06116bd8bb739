"""The command line's `model`: what administrators add to the shipped models.

Knows `core`, and the names of the shipped models as they are handed in. Each command gives a document for programs and a text
for people.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from admin_app import listings
from core import model_rows
from core.db import Database
from core.model_ids import PREFIXES, NewModel

Act = Callable[[Database, Collection[str], Namespace, datetime], tuple[Any, str]]


def declare(verbs: Any, shared: ArgumentParser, command: Any) -> None:
    """The verbs. `command` is what the command line calls; it calls `arguments.act`, an `Act`."""
    add = _verb(verbs, "add", _add, shared, command, "add a model, or say how one is reached")
    add.add_argument("name", metavar="NAME", help="as clients name it; exactly this")
    add.add_argument("--bedrock", required=True, metavar="ID_OR_ARN", help="anthropic.claude-..., or an ARN")
    add.add_argument("--like", metavar="MODEL", help="the shipped model whose capabilities it has (NAME itself, if shipped)")
    prefixes = f"inference profiles that offer it: {', '.join(PREFIXES)}; none: no profile; left out: all of the region"
    add.add_argument("--prefix", action="append", default=[], metavar="PREFIX", help=prefixes)
    add.add_argument("--context-window", type=int, metavar="TOKENS")
    add.add_argument("--max-output", type=int, metavar="TOKENS")
    add.add_argument("--bedrock-key", metavar="ID", help="for this Bedrock key alone")
    _verb(verbs, "list", _list, shared, command, "list what was added")
    _verb(verbs, "remove", _remove, shared, command, "what is shipped holds again").add_argument("id", metavar="ID")


def _add(database: Database, known: Collection[str], arguments: Namespace, now: datetime) -> tuple[Any, str]:
    name = arguments.name.lower()
    new = NewModel(
        model=name,
        bedrock=arguments.bedrock,
        like=arguments.like or name,
        prefixes=tuple(dict.fromkeys(arguments.prefix)),
        context_window=arguments.context_window,
        max_output=arguments.max_output,
        bedrock_key_id=arguments.bedrock_key,
    )
    row = database.run(lambda connection: model_rows.add_model(connection, new, known, now))
    whose = f"the Bedrock key {new.bedrock_key_id}" if new.bedrock_key_id else "every Bedrock key that reaches it"
    return {"id": row.id}, f"Added {row.id}: {new.model} is {new.bedrock} for {whose}, within seconds in every worker."


def _list(database: Database, _known: Collection[str], _arguments: Namespace, _now: datetime) -> tuple[Any, str]:
    return listings.of_models(database.read(model_rows.list_models))


def _remove(database: Database, _known: Collection[str], arguments: Namespace, _now: datetime) -> tuple[Any, str]:
    database.run(lambda connection: model_rows.remove_model(connection, arguments.id))
    return {"id": arguments.id, "removed": True}, f"Removed {arguments.id}."


def _verb(verbs: Any, name: str, act: Act, shared: ArgumentParser, command: Any, help_text: str) -> ArgumentParser:
    parser: ArgumentParser = verbs.add_parser(name, parents=[shared], help=help_text)
    parser.set_defaults(command=command, act=act)
    return parser
