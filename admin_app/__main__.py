"""`python -m admin_app`: the command line in the real world, and `serve`, which becomes gunicorn.

Not patched by gevent, so that nothing can be imported too early: gunicorn, whose configuration patches first of all, takes
the place of this process. Invariant: a clear password or key goes to this process's own stdout, never through a logger.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from errno import EADDRINUSE
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from admin_app.cli import MIGRATE_COMMAND, run
from admin_app.cli_desk import Outside
from admin_app.cli_work import at_the_machine
from core.access import Limits, NameTaken
from core.access_keys import IssuedKey, KeyOptions, issue_key
from core.audit import Change, record
from core.crypto import open_vault
from core.db import Database, migrate, open_database, schema_is_current
from core.local_files import ensure_local, make_admin_password
from core.ports import BedrockProbe
from core.secret_marks import secrets_of
from core.server_lock import lock_database
from core.settings import Settings, environment_elsewhere
from core.types import Strategy
from core.users import add_user, list_users

if TYPE_CHECKING:
    from sqlalchemy import Connection

PROJECT = Path(__file__).resolve().parent.parent
FIRST_USER = "developer"


def main() -> int:
    outside = Outside(
        environ=os.environ,
        stdin=sys.stdin,
        stdout=sys.stdout,
        stderr=sys.stderr,
        now=lambda: datetime.now(UTC),
        build_probe=build_probe,
        serve=serve,
        known_models=known_models,
    )
    return run(sys.argv[1:], outside)


def build_probe(settings: Settings) -> BedrockProbe:
    import wsgi  # the composition root; imported for the one command that needs the proxy

    return wsgi.build_bedrock_probe(settings)


def known_models() -> frozenset[str]:
    import wsgi  # as above

    return wsgi.known_models()


def become_gunicorn(environ: dict[str, str]) -> NoReturn:
    """From the project's folder, whatever ours is."""
    os.chdir(PROJECT)
    os.execve(sys.executable, [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:create_app()"], environ)


def serve(settings: Settings, first_run: bool, become: Callable[[dict[str, str]], NoReturn] = become_gunicorn) -> int:
    """Becomes the server, or returns 1 because of a taken address or a database that is not migrated. Raises BadSettings."""
    lock_database(settings).let_go()  # for the server itself to take: here it is told before a password is shown
    if (problem := _address_problem(settings.bind)) is not None:
        print(problem, file=sys.stderr)
        return 1
    database = open_database(settings, pool_size=1)
    try:
        open_vault(settings, secrets_of(settings, database))  # a worker would only learn it at its start
        if first_run:
            migrate(database)
            secrets_of(settings, database)  # now there is a place where the database can say whose it is
        elif not schema_is_current(database):
            print(f"The database is not migrated. Run: {MIGRATE_COMMAND}", file=sys.stderr)
            return 1
        with_secrets = first_run or sys.stdout.isatty()
        welcome = [*_admin_lines(settings, with_secrets), *(_developer_lines(settings, database) if first_run else [])]
    finally:
        database.close()
    print("\n".join(welcome), flush=True)
    return become(environment_elsewhere(settings))


def _address_problem(bind: str) -> str | None:
    """gunicorn would try for five seconds, and then say it in five lines of JSON."""
    host, _, port = bind.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            reason = "another program listens there" if error.errno == EADDRINUSE else error.strerror
            return f"Cannot listen on {bind}: {reason}. End what listens there, or set PROXY_BIND to another address."
    return None


def _admin_lines(settings: Settings, with_secrets: bool) -> list[str]:
    """The clear password is made to be read once, at a terminal or in `make run`; it must not end in a log file."""
    password = make_admin_password(settings) if with_secrets else None
    lines = ["", "ClaudeCodeProxy", "", f"  Admin:     {settings.base_url}/admin"]
    if password is not None:
        lines += [f"  User name: {settings.admin_username}", f"  Password:  {password}    (shown this once)"]
    elif not ensure_local(settings).admin_password_hash:
        lines.append(f"  Password:  none yet; it is made and shown once by: {_command('serve --first-run')}")
    return [*lines, ""]


def _developer_lines(settings: Settings, database: Database) -> list[str]:
    issued = _first_key(settings, database)
    if issued is None:
        commands = (_command("user add NAME"), _command("key issue --user NAME"))
        return ["  For another developer:", *(f"      {command}" for command in commands), ""]
    attach = _command(f"bedrock-key add --user {FIRST_USER} --region {settings.bedrock_region} --key-stdin")
    return [
        f'  For the first user, "{FIRST_USER}" (shown this once):',
        f"      export ANTHROPIC_BASE_URL={settings.base_url}/ak/{issued.access_key}",
        "",
        "  Next, in another terminal: attach a Bedrock API key, which takes over when the plan's limit is hit:",
        f"      {attach}",
        "",
    ]


def _first_key(settings: Settings, database: Database) -> IssuedKey | None:
    """A user with a key, on the very first start: there is nobody yet, and nobody of that name was deleted."""
    now = datetime.now(UTC)
    if database.read(list_users):
        return None
    try:
        return database.run(lambda c: _add_first(c, settings, now))
    except NameTaken:
        return None


def _add_first(connection: Connection, settings: Settings, now: datetime) -> IssuedKey:
    limits, options, actor = Limits.of(settings), KeyOptions(name="first key"), at_the_machine()
    user = add_user(connection, FIRST_USER, Strategy.PLAN_FIRST, limits, now)
    issued = issue_key(connection, user, ensure_local(settings).server_secret, limits, now, options)
    record(connection, actor, Change("user.create", user.id, {}, {"name": user.name}), now)
    record(connection, actor, Change("access_key.issue", issued.id, {}, {"user_id": user.id, "name": options.name}), now)
    return issued


def _command(arguments: str) -> str:
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    return f"{shown} -m admin_app {arguments}"


if __name__ == "__main__":
    sys.exit(main())
