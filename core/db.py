"""The one door to the database: `Database.run(work)` is a transaction, on SQLite and PostgreSQL alike.

Knows no table and no rule of ours. Invariant: `work` ran and is committed, or nothing of it is; a database that could not
serve (unreachable, read-only after a failover, no free connection, locked too long) is always `DatabaseAway`.
Never call it from inside `work`, and never wait for another system there.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, QueuePool, StaticPool, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from core import postgres
from core.secrets import SecretUnavailable, fetch_secret
from core.settings import BadSettings, Settings
from core.threads import NativeThread

T = TypeVar("T")

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
_SQLITE_BUSY_S = 5.0
_MIGRATION_LOCK = 0x636370726F7879  # any fixed number; two migrators of one database must agree on it
_SQLITE_AWAY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)


class DatabaseAway(Exception):
    """The database could not serve. Nothing was committed, unless the connection was lost in the commit itself."""


class Database:
    """Made by `open_database`. Safe between greenlets; in a process without gevent also between threads."""

    def __init__(self, engine: Engine, thread: NativeThread | None) -> None:
        self._engine = engine
        self._thread = thread

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @property
    def connections_in_use(self) -> int:
        """Of PostgreSQL's; SQLite has one, for everything."""
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def run(self, work: Callable[[Connection], T]) -> T:
        """`work` in one transaction: committed when it returns, rolled back when it raises.

        Raises DatabaseAway; every other error passes. On SQLite `work` runs in a native thread and holds the write lock.
        """
        return self._transact(work, {})

    def read(self, work: Callable[[Connection], T]) -> T:
        """As `run`, for work that only reads: on SQLite it neither waits for a writer nor holds one up."""
        return self._transact(work, {"sqlite_begin": "BEGIN"})

    def migrate(self, work: Callable[[Connection], T]) -> T:
        """As `run`, for changes of the schema: SQLite's foreign keys are off, as rebuilding a table demands."""
        try:
            return self._transact(work, {"sqlite_foreign_keys": "OFF"})
        finally:
            self._within(self._engine.dispose)

    def close(self) -> None:
        """Closes what is idle; what is in use closes when it is returned. Idempotent."""
        self._within(self._engine.dispose)
        if self._thread is not None:
            self._thread.close()

    def _transact(self, work: Callable[[Connection], T], options: Mapping[str, str]) -> T:
        def transaction() -> T:
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                return work(connection)

        try:
            return self._within(transaction)
        except NoFreeConnection:
            raise DatabaseAway("no free database connection in time") from None
        except SecretUnavailable as error:
            raise DatabaseAway(str(error)) from error
        except DBAPIError as error:
            if _is_away(error):
                raise DatabaseAway(_first_line(error)) from error
            raise

    def _within(self, work: Callable[[], T]) -> T:
        return work() if self._thread is None else self._thread.run(work)


def open_database(settings: Settings, *, pool_size: int, patience_s: float = 2.0) -> Database:
    """The configured database; connects when first used. Raises BadSettings. SQLite: one connection, whatever the size."""
    url = _address(settings)
    if url.get_backend_name() == "sqlite":
        return Database(_sqlite_engine(url), NativeThread())
    login = postgres.Login(settings.database_secret, fetch_secret, time.monotonic) if settings.database_host else None
    return Database(postgres.open_engine(url, pool_size, login, patience_s), None)


def cooperate_with_gevent() -> None:
    """The server's start calls this once a worker, before it opens a database; see core.postgres."""
    postgres.cooperate_with_gevent()


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    key_columns: Sequence[str],
    adding: Collection[str] = (),
) -> None:
    """Insert, or change the row of the same key: columns in `adding` are summed up, the others replaced.

    All rows name the same columns. Keys must differ within one call, and be sorted where several writers work at a time.
    """
    if not rows:
        return
    statement = _insert(connection, table)
    changes = {
        name: table.c[name] + statement.excluded[name] if name in adding else statement.excluded[name]
        for name in rows[0]
        if name not in key_columns
    }
    keys = [table.c[name] for name in key_columns]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), rows)


def take_time(connection: Connection) -> None:
    """This transaction's statements may run for minutes and sort in memory: for the command line, where nobody waits for it."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = '10min'"))
        connection.execute(text("SET LOCAL work_mem = '64MB'"))


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless its primary key is there already; whether it was not."""
    statement = _insert(connection, table).values(row).on_conflict_do_nothing()
    return bool(connection.execute(statement).rowcount)


def schema_is_current(database: Database) -> bool:
    """Whether this release can work on the schema: it is ours or a later release's. Raises DatabaseAway."""
    return database.read(_is_current)


def migrate(database: Database) -> None:
    """Bring the schema up to date. Several may try at once: one works, the others wait for it. Raises DatabaseAway."""
    from alembic import command

    def upgrade(connection: Connection) -> None:
        _queue_up(connection)
        if not _is_current(connection):
            configuration = migration_configuration()
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")

    database.migrate(upgrade)


def migration_configuration() -> Any:
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return configuration


def _is_current(connection: Connection) -> bool:
    """A version we have never heard of is a later release's; its migrations keep yesterday's code working."""
    from alembic.script import ScriptDirectory

    if not inspect(connection).has_table("alembic_version"):
        return False
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    ours = [script.revision for script in ScriptDirectory.from_config(migration_configuration()).walk_revisions()]
    return found is not None and (found == ours[0] or found not in ours)


def _queue_up(connection: Connection) -> None:
    """SQLite's write lock is held already. On PostgreSQL waiting is patient, what follows is not: others are at work."""
    if connection.dialect.name != "postgresql":
        return
    connection.execute(text("SET LOCAL statement_timeout = '10min'"))
    connection.execute(text("SET LOCAL lock_timeout = '10min'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))


def _insert(connection: Connection, table: Table) -> Any:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _address(settings: Settings) -> URL:
    if settings.database_host:
        return postgres.host_url(settings.database_host, settings.database_name)
    if not settings.database_url:
        return URL.create("sqlite", database=str(settings.sqlite_file))
    try:
        url = make_url(settings.database_url)
    except ArgumentError:
        raise BadSettings(["PROXY_DATABASE_URL: is not an address like postgresql://user@host/name"]) from None
    if url.get_backend_name() not in ("sqlite", "postgresql", "postgres"):
        raise BadSettings(["PROXY_DATABASE_URL: must be postgresql://... or sqlite:///..."])
    return url


def _sqlite_engine(url: URL) -> Engine:
    wanted = {"timeout": _SQLITE_BUSY_S, "check_same_thread": False, "isolation_level": None}
    connect = {name: value for name, value in wanted.items() if name not in url.query}
    engine = create_engine(url, poolclass=StaticPool, connect_args=connect, hide_parameters=True)

    @event.listens_for(engine, "do_connect")
    def make_file(*_: Any) -> None:
        if url.database and url.database != ":memory:":
            _make_private_file(Path(url.database))

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        _write_ahead(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if "sqlite_foreign_keys" in options:
            connection.exec_driver_sql(f"PRAGMA foreign_keys={options['sqlite_foreign_keys']}")
        connection.exec_driver_sql(str(options.get("sqlite_begin", "BEGIN IMMEDIATE")))

    return engine


def _write_ahead(connection: Any) -> None:
    """SQLite refuses this at once, without its usual patience, while another process does the same to a new file: who is refused
    waits for that one's lock as for any other, and asks again."""
    ends = time.monotonic() + _SQLITE_BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= ends:
                raise
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")


def _make_private_file(path: Path) -> None:
    """SQLite would make it readable for everyone.

    One that is there already is not opened: closing it again would drop the locks that this process's other connections hold on
    it (POSIX), and the next process to end would take their log away.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        away = sqlite3.OperationalError(f"{path} cannot be opened ({error.strerror})")
        away.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise away from error


def _is_away(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _SQLITE_AWAY
    return postgres.is_away(error)


def _first_line(error: DBAPIError) -> str:
    return f"{type(error.orig).__name__}: {error.orig}".splitlines()[0]
