"""The command line: users, keys, Bedrock keys, migrating (SPEC section 11).

Knows `core`, and nothing of the proxy: what it needs of it, and serving itself, is handed in as `Outside`. Invariant: with
`--json` stdout gets exactly one JSON document, whatever happens; all else goes to stderr. Exit 0 done, 1 refused, 2 usage.
"""

from __future__ import annotations

import getpass
import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, TextIO

from admin_app import cli_ledger, listings
from core import access, bedrock_keys
from core.access import AccessKey, Limits, Refused, User
from core.bedrock_keys import NewBedrockKey
from core.crypto import CannotOpen, Vault, open_vault
from core.db import Database, DatabaseAway, migrate, open_database, schema_is_current
from core.local_files import LocalSecrets, ensure_local
from core.ports import BedrockProbe, ProbeResult
from core.settings import BadSettings, Settings, load_settings
from core.types import Residency, Strategy

MIGRATE_COMMAND = "python -m admin_app migrate"


@dataclass(frozen=True, slots=True)
class Outside:
    """The world of one command. `serve(settings, first_run)` replaces the process, or returns an exit code."""

    environ: Mapping[str, str]
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    now: Callable[[], datetime]
    build_probe: Callable[[Settings], BedrockProbe]
    serve: Callable[[Settings, bool], int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found or did: for programs, and for people."""

    document: Any
    text: str
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command works with."""

    outside: Outside
    settings: Settings
    secrets: LocalSecrets
    database: Database

    def now(self) -> datetime:
        return self.outside.now()

    def vault(self) -> Vault:
        return open_vault(self.settings, self.secrets)

    def user(self, name_or_id: str) -> User:
        return self.database.read(lambda connection: access.find_user(connection, name_or_id))

    def link(self, access_key: str) -> str:
        return f"export ANTHROPIC_BASE_URL={self.settings.base_url}/ak/{access_key}"


class _Usage(Exception):
    pass


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Usage(f"{self.format_usage()}{self.prog}: {message}")


def run(argv: Sequence[str], outside: Outside) -> int:
    """One command, from its arguments to its exit code."""
    as_json = "--json" in argv
    try:
        arguments = _parser().parse_args(argv)
        answer = _answer(arguments, outside)
    except _Usage as error:
        return _refuse(outside, as_json, [str(error)], exit_code=2)
    except BadSettings as error:
        return _refuse(outside, as_json, error.problems)
    except (Refused, CannotOpen, OSError) as error:
        return _refuse(outside, as_json, [str(error)])
    except DatabaseAway as error:
        return _refuse(outside, as_json, [f"the database cannot be reached: {error}"])
    if isinstance(answer, int):
        return answer
    print(json.dumps(answer.document) if as_json else answer.text, file=outside.stdout)
    return answer.exit_code


def _answer(arguments: Namespace, outside: Outside) -> Answer | int:
    settings = load_settings(outside.environ)
    secrets = ensure_local(settings)
    if arguments.command is None:
        return outside.serve(settings, arguments.first_run)
    database = open_database(settings, pool_size=1)
    try:
        if arguments.command is not _migrate and not schema_is_current(database):
            raise Refused(f"the database is not migrated; run: {MIGRATE_COMMAND}")
        answer: Answer | int | tuple[Any, str, int] = arguments.command(Desk(outside, settings, secrets, database), arguments)
        return Answer(*answer) if isinstance(answer, tuple) else answer
    finally:
        database.close()


def _refuse(outside: Outside, as_json: bool, problems: list[str], exit_code: int = 1) -> int:
    print("\n".join(problems), file=outside.stderr)
    if as_json:
        print(json.dumps({"error": "; ".join(problems)}), file=outside.stdout)
    return exit_code


def _migrate(desk: Desk, _: Namespace) -> Answer:
    migrate(desk.database)
    return Answer({"migrated": True}, "The database is migrated.")


def _user_add(desk: Desk, arguments: Namespace) -> Answer:
    strategy, limits = Strategy(arguments.strategy), Limits.of(desk.settings)
    user = desk.database.run(lambda c: access.add_user(c, arguments.name, strategy, limits, desk.now()))
    return Answer({"id": user.id}, f"Added {user.name}, {user.id}.\nNext: python -m admin_app key issue --user {user.id}")


def _user_list(desk: Desk, _: Namespace) -> Answer:
    return Answer(*listings.of_users(desk.database.read(access.list_users)))


def _user_deactivate(desk: Desk, arguments: Namespace) -> Answer:
    user = desk.user(arguments.name)
    desk.database.run(lambda c: access.deactivate_user(c, user.id, desk.now()))
    return Answer({"id": user.id, "status": "inactive"}, f"{user.name} is inactive; their keys are refused from now on.")


def _key_issue(desk: Desk, arguments: Namespace) -> Answer:
    now, user = desk.now(), desk.user(arguments.user)
    expires_at = now + timedelta(days=arguments.expires_days) if arguments.expires_days else None
    options = access.KeyOptions(name=arguments.name, expires_at=expires_at)
    secret, limits = desk.secrets.server_secret, Limits.of(desk.settings)
    issued = desk.database.run(lambda c: access.issue_key(c, user, secret, limits, now, options))
    text = f"Issued {issued.id} for {user.name}. The key is shown this once:\n\n    {issued.access_key}\n\n    "
    return Answer({"id": issued.id, "access_key": issued.access_key}, text + desk.link(issued.access_key))


def _key_rotate(desk: Desk, arguments: Namespace) -> Answer:
    secret, now = desk.secrets.server_secret, desk.now()
    issued = desk.database.run(lambda c: access.rotate_key(c, arguments.id, secret, arguments.grace_s, now))
    text = f"Rotated {issued.id}; the old key is good for {arguments.grace_s:g} s more. The new one is shown this once:"
    shown = f"{text}\n\n    {issued.access_key}\n\n    {desk.link(issued.access_key)}"
    return Answer({"id": issued.id, "access_key": issued.access_key}, shown)


def _key_revoke(desk: Desk, arguments: Namespace) -> Answer:
    desk.database.run(lambda c: access.revoke_key(c, arguments.id, desk.now()))
    return Answer({"id": arguments.id, "revoked": True}, f"Revoked {arguments.id}.")


def _key_list(desk: Desk, arguments: Namespace) -> Answer:
    user_id = desk.user(arguments.user).id if arguments.user else None
    keys: list[AccessKey] = desk.database.read(lambda c: access.list_keys(c, user_id))
    return Answer(*listings.of_access_keys(keys, desk.now()))


def _bedrock_add(desk: Desk, arguments: Namespace) -> Answer:
    region, residency = arguments.region or desk.settings.bedrock_region, Residency(arguments.residency)
    user = desk.user(arguments.user)
    new = NewBedrockKey(region, residency, _secret_line(desk.outside), arguments.access_key)
    key = bedrock_keys.seal_bedrock_key(desk.vault(), new)
    desk.database.run(lambda c: bedrock_keys.attach_bedrock_key(c, user, new, key, desk.now()))
    result = _tested(desk, key.id, region, new.secret, residency)
    saved = f"Attached {key.id} to {user.name}, {region}."
    return Answer({"id": key.id, "test": {"ok": result.ok, "reason": result.reason}}, f"{saved} {_verdict(result)}")


def _bedrock_test(desk: Desk, arguments: Namespace) -> Answer:
    key = desk.database.read(lambda c: bedrock_keys.find_bedrock_key(c, arguments.id)).key
    result = _tested(desk, key.id, key.region, desk.vault().open(key.sealed, key.id), key.residency)
    document = {"id": key.id, "test": {"ok": result.ok, "reason": result.reason}}
    return Answer(document, _verdict(result), exit_code=0 if result.ok else 1)


def _bedrock_list(desk: Desk, arguments: Namespace) -> Answer:
    user_id = desk.user(arguments.user).id if arguments.user else None
    return Answer(*listings.of_bedrock_keys(desk.database.read(lambda c: bedrock_keys.list_bedrock_keys(c, user_id))))


def _tested(desk: Desk, key_id: str, region: str, secret: str, residency: Residency) -> ProbeResult:
    try:
        result = desk.outside.build_probe(desk.settings).test(region, secret, residency)
    except Exception as error:  # the key is saved; whatever ails the test, its owner must learn the key's id
        result = ProbeResult(False, f"the test could not be made ({type(error).__name__})")
    desk.database.run(lambda c: bedrock_keys.record_bedrock_test(c, key_id, result, desk.now()))
    return result


def _verdict(result: ProbeResult) -> str:
    return f"The test succeeded: {result.reason}" if result.ok else f"The test failed: {result.reason}"


def _secret_line(outside: Outside) -> str:
    if outside.stdin.isatty():
        return getpass.getpass("Bedrock API key (not shown): ", stream=outside.stderr).strip()
    return outside.stdin.readline().strip()


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


def _parser() -> ArgumentParser:
    shared = ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="exactly one JSON document on stdout")
    parser = _Parser(prog="python -m admin_app", description="Runs and administers ClaudeCodeProxy.")
    nouns = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _verb(nouns, "migrate", _migrate, shared, "create or update the tables")
    serve = _verb(nouns, "serve", None, None, "run the proxy in this terminal")
    serve.add_argument("--first-run", action="store_true", help="migrate, and on the very first start add a user and a key")
    _add_users(nouns.add_parser("user", help="developers"), shared)
    _add_keys(nouns.add_parser("key", help="access keys"), shared)
    _add_bedrock_keys(nouns.add_parser("bedrock-key", help="Bedrock API keys"), shared)
    cli_ledger.add_commands(nouns, shared, _Parser)
    return parser


def _add_users(noun: ArgumentParser, shared: ArgumentParser) -> None:
    verbs = noun.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    add = _verb(verbs, "add", _user_add, shared, "add a user")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--strategy", choices=[strategy.value for strategy in Strategy], default=Strategy.PLAN_FIRST.value)
    _verb(verbs, "list", _user_list, shared, "list the users")
    _verb(verbs, "deactivate", _user_deactivate, shared, "cut all keys of a user").add_argument("name", metavar="NAME_OR_ID")


def _add_keys(noun: ArgumentParser, shared: ArgumentParser) -> None:
    verbs = noun.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    issue = _verb(verbs, "issue", _key_issue, shared, "issue a key and show it once")
    issue.add_argument("--user", required=True, metavar="NAME_OR_ID")
    issue.add_argument("--name", default="")
    issue.add_argument("--expires-days", type=_days, metavar="DAYS")
    rotate = _verb(verbs, "rotate", _key_rotate, shared, "a new secret for the same key")
    rotate.add_argument("id", metavar="ID")
    rotate.add_argument("--grace-s", type=_grace, default=300.0, metavar="SECONDS", help="how long the old one stays good (300)")
    _verb(verbs, "revoke", _key_revoke, shared, "end a key for good").add_argument("id", metavar="ID")
    _verb(verbs, "list", _key_list, shared, "list keys, never their text").add_argument("--user", metavar="NAME_OR_ID")


def _add_bedrock_keys(noun: ArgumentParser, shared: ArgumentParser) -> None:
    verbs = noun.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    add = _verb(verbs, "add", _bedrock_add, shared, "attach a key, then test it; it is kept even if the test fails")
    add.add_argument("--user", required=True, metavar="NAME_OR_ID")
    add.add_argument("--access-key", metavar="ID", help="for this access key alone")
    add.add_argument("--region")
    add.add_argument("--residency", choices=[each.value for each in Residency], default=Residency.GLOBAL.value)
    add.add_argument("--key-stdin", action="store_true", required=True, help="the key is read from standard input, one line")
    _verb(verbs, "test", _bedrock_test, shared, "test a key; exit 1 if it fails").add_argument("id", metavar="ID")
    _verb(verbs, "list", _bedrock_list, shared, "list keys, never their text").add_argument("--user", metavar="NAME_OR_ID")


def _verb(verbs: Any, name: str, command: Any, shared: ArgumentParser | None, help_text: str) -> ArgumentParser:
    parser: ArgumentParser = verbs.add_parser(name, parents=[shared] if shared else [], help=help_text)
    parser.set_defaults(command=command)
    return parser
