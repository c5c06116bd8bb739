"""What every command of the command line works with: the world it runs in, its answer, its parser.

Knows no noun; those are `cli_users`, `cli_keys` and so on, and `cli` puts them together. Invariant: a command returns an
`Answer` or raises; it prints nothing itself.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, TextIO, TypeVar

from admin_app.cli_work import work_of
from admin_app.operation import Doing, Operation, Shape, perform
from core import users
from core.crypto import Vault, open_vault
from core.db import Database
from core.local_files import LocalSecrets
from core.ports import BedrockProbe
from core.settings import Settings
from core.users import User

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outside:
    """The world of one command. `serve(settings, first_run)` replaces the process, or returns an exit code.

    `known_models` are the shipped ones.
    """

    environ: Mapping[str, str]
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    now: Callable[[], datetime]
    build_probe: Callable[[Settings], BedrockProbe]
    serve: Callable[[Settings, bool], int]
    known_models: Callable[[], frozenset[str]] = frozenset


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

    def does(self, operation: Operation, taken: Shape) -> Any:
        """Performs it as whoever runs the command: with its rules, and its entry in the audit log."""
        return perform(operation, work_of(self), taken)

    def change(self, do: Callable[[Doing], T]) -> T:
        """For what is no operation; `do` notes what it changes, or it does not happen."""
        return work_of(self).change(do)

    def vault(self) -> Vault:
        return open_vault(self.settings, self.secrets)

    def user(self, name_or_id: str) -> User:
        return self.database.read(lambda connection: users.find_user(connection, name_or_id))

    def link(self, access_key: str) -> str:
        return f"export ANTHROPIC_BASE_URL={self.settings.base_url}/ak/{access_key}"


Command = Callable[[Desk, Namespace], Answer | int]  # a number: the exit code of a command that has said everything itself


class Usage(Exception):
    """The call itself was wrong: exit 2. The text says how it should be."""


class Parser(ArgumentParser):
    """Raises Usage where argparse would end the process."""

    def error(self, message: str) -> NoReturn:
        raise Usage(f"{self.format_usage()}{self.prog}: {message}")


class Words:
    """The words that may follow: nouns at first, verbs behind a noun. Every verb takes `--json`."""

    def __init__(self, parser: ArgumentParser) -> None:
        self._choices: Any = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
        self._shared = ArgumentParser(add_help=False)
        self._shared.add_argument("--json", action="store_true", help="exactly one JSON document on stdout")

    def noun(self, name: str, help_text: str) -> Words:
        return Words(self._add(name, help_text))

    def verb(self, name: str, command: Command, help_text: str) -> ArgumentParser:
        parser = self._add(name, help_text, self._shared)
        parser.set_defaults(command=command)
        return parser

    def bare(self, name: str, command: Callable[[Outside, Namespace], Answer], help_text: str) -> ArgumentParser:
        """A command that works without settings, secrets or a database."""
        parser = self._add(name, help_text, self._shared)
        parser.set_defaults(bare=command)
        return parser

    def serve(self, help_text: str) -> ArgumentParser:
        """The one command that is none of ours, and says nothing in JSON."""
        parser = self._add("serve", help_text)
        parser.set_defaults(command=None)
        return parser

    def _add(self, name: str, help_text: str, *shared: ArgumentParser) -> ArgumentParser:
        """Its sentence stands in the list above it and in its own help; argparse takes a `%` in the list for a placeholder."""
        listed, own = help_text.replace("%", "%%"), help_text[:1].upper() + help_text[1:] + "."
        parser: ArgumentParser = self._choices.add_parser(name, parents=shared, help=listed, description=own)
        return parser
