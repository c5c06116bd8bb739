"""The command line (SPEC section 11): reads the words, runs one command, says what came of it. The nouns are in `cli_*`.

Knows `core`, and nothing of the proxy: what it needs of it, and serving itself, is handed in as `Outside`. Invariant: with
`--json` stdout gets exactly one JSON document, whatever happens; all else goes to stderr. Exit 0 done, 1 refused, 2 usage.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from admin_app import (
    cli_admins,
    cli_bedrock_keys,
    cli_doctor,
    cli_keys,
    cli_ledger,
    cli_models,
    cli_prices,
    cli_reconcile,
    cli_repairs,
    cli_secrets,
    cli_users,
)
from admin_app.cli_desk import Answer, Desk, Outside, Parser, Usage, Words
from core.access import Refused
from core.crypto import CannotOpen
from core.db import DatabaseAway, migrate, open_database, schema_is_current
from core.secret_marks import secrets_of
from core.settings import BadSettings, load_settings

MIGRATE_COMMAND = "python -m admin_app migrate"


def run(argv: Sequence[str], outside: Outside) -> int:
    """One command, from its arguments to its exit code."""
    as_json = "--json" in argv
    try:
        arguments = _parser().parse_args(argv)
        answer = _answer(arguments, outside)
    except Usage as error:
        return _refuse(outside, as_json, [str(error)], exit_code=2)
    except BadSettings as error:
        return _refuse(outside, as_json, error.problems)
    except (Refused, CannotOpen) as error:
        return _refuse(outside, as_json, [str(error)])
    except OSError as error:
        return _refuse(outside, as_json, [f"{error.filename}: {error.strerror}" if error.filename else str(error)])
    except DatabaseAway as error:
        return _refuse(outside, as_json, [f"the database cannot be reached: {error}"])
    if isinstance(answer, int):
        return answer
    print(json.dumps(answer.document) if as_json else answer.text, file=outside.stdout)
    return answer.exit_code


def _answer(arguments: Namespace, outside: Outside) -> Answer | int:
    if hasattr(arguments, "bare"):
        found: Answer = arguments.bare(outside, arguments)
        return found
    settings = load_settings(outside.environ)
    if arguments.command is None:
        return outside.serve(settings, arguments.first_run)
    database = open_database(settings, pool_size=1)
    try:
        if arguments.command is not _migrate and not schema_is_current(database):
            raise Refused(f"the database is not migrated; run: {MIGRATE_COMMAND}")
        secrets = secrets_of(settings, database)
        answer: Answer | int = arguments.command(Desk(outside, settings, secrets, database), arguments)
        return answer
    finally:
        database.close()


def _refuse(outside: Outside, as_json: bool, problems: list[str], exit_code: int = 1) -> int:
    print("\n".join(problems), file=outside.stderr)
    if as_json:
        print(json.dumps({"error": "; ".join(problems)}), file=outside.stdout)
    return exit_code


def _migrate(desk: Desk, _: Namespace) -> Answer:
    migrate(desk.database)
    secrets_of(desk.settings, desk.database)  # now there is a place where the database can say whose it is
    return Answer({"migrated": True}, "The database is migrated.")


def _parser() -> ArgumentParser:
    parser = Parser(prog="python -m admin_app", description="Runs and administers ClaudeCodeProxy.")
    nouns = Words(parser)
    nouns.verb("migrate", _migrate, "create or update the tables")
    serve = nouns.serve("run the proxy in this terminal")
    serve.add_argument("--first-run", action="store_true", help="migrate, and on the very first start add a user and a key")
    cli_admins.add_words(nouns)
    cli_users.add_words(nouns)
    cli_keys.add_words(nouns)
    cli_bedrock_keys.add_words(nouns)
    cli_models.add_words(nouns)
    cli_repairs.add_words(nouns)
    cli_reconcile.add_words(cli_ledger.add_words(nouns))
    cli_prices.add_words(nouns)
    cli_secrets.add_words(nouns)
    cli_doctor.add_words(nouns)
    return parser
