"""PostgreSQL's own ways to be away: read-only, restarted, full, silent, with a new password."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Connection, make_url, select, text

from core import postgres
from core.db import Database, DatabaseAway, open_database
from core.models import revisions
from core.secrets import SecretText, SecretUnavailable, share_with_children
from core.settings import Settings
from tests.core.patched import in_patched_process


def opened(url: str) -> Database:
    return open_database(Settings(database_url=url), pool_size=1)


def ids(connection: Connection) -> list[int]:
    return sorted(connection.execute(select(revisions.c.id)).scalars())


def add_row(connection: Connection) -> None:
    connection.execute(revisions.insert(), [{"id": 2, "grants": 1, "circuits": 1, "prices": 1}])


def pg_url(server: Any) -> str:
    return str(server.migrated())


def test_a_connection_that_became_read_only_is_never_used_again(postgres_server: Any) -> None:
    database = opened(pg_url(postgres_server))
    database.run(lambda c: c.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")))

    with pytest.raises(DatabaseAway, match="read-only"):
        database.run(add_row)

    database.run(add_row)
    assert database.read(ids) == [1, 2]
    database.close()


def test_a_server_that_is_read_only_is_refused_when_connecting(postgres_server: Any) -> None:
    url = pg_url(postgres_server)
    name = make_url(url).database
    opened(url).run(lambda c: c.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on")))

    with pytest.raises(DatabaseAway, match="read-only"):
        opened(url).read(ids)


def test_connections_that_the_server_ended_are_replaced_unnoticed(postgres_server: Any) -> None:
    url = pg_url(postgres_server)
    database, killer = opened(url), opened(url)
    database.read(ids)

    killer.run(lambda c: c.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")))

    assert database.read(ids) == [1]
    database.close()
    killer.close()


def test_no_free_connection_in_time_is_a_database_that_is_away(postgres_server: Any) -> None:
    database, all_busy, over = opened(pg_url(postgres_server)), Barrier(2, timeout=30), Event()

    def occupy(_: Connection) -> bool:
        all_busy.wait()
        return over.wait(30)

    with ThreadPoolExecutor(1) as others:
        held = [others.submit(database.read, occupy) for _ in range(1)]
        all_busy.wait()
        with pytest.raises(DatabaseAway, match="no free"):
            database.read(ids)
        over.set()

    assert [each.result() for each in held] == [True]
    database.close()


def test_every_session_has_time_limits(postgres_server: Any) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone")
    database = opened(pg_url(postgres_server).replace("postgresql://", "postgres://"))

    values = database.read(lambda c: [c.execute(text(f"SHOW {name}")).scalar() for name in names])

    assert values == ["5s", "2s", "10s", "UTC"]
    database.close()


class Secrets:
    """Secrets Manager, as seen from here: each reading gives the next value; the last one stays."""

    def __init__(self, *passwords: str) -> None:
        self.left = [f'{{"username": "rotating", "password": "{password}"}}' for password in passwords]

    def fetch(self, address: str) -> str:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


@pytest.fixture
def guarded_url(postgres_server: Any) -> Iterator[Any]:
    """A database on which the role `rotating` needs a password."""
    admin = psycopg2.connect(pg_url(postgres_server))
    admin.autocommit = True
    cursor = admin.cursor()
    cursor.execute("DROP ROLE IF EXISTS rotating; CREATE ROLE rotating LOGIN SUPERUSER PASSWORD 'second'; SHOW hba_file")
    hba = Path(cursor.fetchone()[0])
    before = hba.read_text()
    hba.write_text("local all rotating scram-sha-256\n" + before)
    cursor.execute("SELECT pg_reload_conf()")
    yield make_url(pg_url(postgres_server)).set(username=None, password=None)
    hba.write_text(before)
    cursor.execute("SELECT pg_reload_conf()")
    admin.close()


ADDRESS = "arn:aws:secretsmanager:us-east-1:1:secret:db"


def with_login(url: Any, secrets: Secrets) -> Database:
    """As after a start that read the first value."""
    times, first = iter(range(0, 10_000, 60)), SecretText(secrets.fetch(ADDRESS), ADDRESS)
    return Database(postgres.open_engine(url, 1, postgres.Login(first, secrets.fetch, lambda: next(times))), None)


def test_a_rotated_database_password_is_read_again(guarded_url: Any) -> None:
    database = with_login(guarded_url, Secrets("first", "second"))

    assert database.read(ids) == [1]
    database.close()


def test_a_database_password_that_stays_wrong_is_a_database_that_is_away(guarded_url: Any) -> None:
    with pytest.raises(DatabaseAway, match="authentication"):
        with_login(guarded_url, Secrets("first", "third")).read(ids)


def test_a_secret_is_read_at_most_once_in_five_seconds() -> None:
    now, secrets = [0.0], Secrets("first", "second", "third")
    login = postgres.Login(SecretText(secrets.fetch(ADDRESS), ADDRESS), secrets.fetch, lambda: now[0])
    assert login.parameters() == {"user": "rotating", "password": "first"}

    assert login.read_again()
    assert not login.read_again()
    assert login.parameters()["password"] == "second"
    now[0] = 5.0
    assert login.read_again()
    assert login.parameters()["password"] == "third"


def test_a_secret_that_was_broken_for_a_moment_does_not_stay_broken() -> None:
    now, values = [0.0], ["no JSON", '{"username": "rotating", "password": "second"}']
    first = SecretText('{"username": "rotating", "password": "first"}', ADDRESS)
    login = postgres.Login(first, lambda _: values.pop(0), lambda: now[0])
    with pytest.raises(SecretUnavailable, match="must be JSON"):
        login.read_again()

    assert login.parameters()["password"] == "first"
    now[0] = 5.0
    assert login.read_again()
    assert login.parameters()["password"] == "second"


def test_what_one_worker_has_read_is_what_the_others_and_later_ones_use_without_reading_it() -> None:
    first = SecretText('{"username": "rotating", "password": "first"}', ADDRESS)
    share_with_children(first)
    one, other = postgres.Login(first, Secrets("second").fetch, lambda: 0.0), postgres.Login(first, unreachable, lambda: 0.0)

    assert (one.read_again(), other.read_again()) == (True, True)
    later = postgres.Login(first, unreachable, lambda: 0.0)

    assert [each.parameters()["password"] for each in (one, other, later)] == ["second"] * 3
    with pytest.raises(SecretUnavailable):
        later.read_again()


def unreachable(address: str) -> str:
    raise SecretUnavailable(address)


def test_a_login_that_came_from_nowhere_is_not_read_again() -> None:
    login = postgres.Login('{"username": "u", "password": "p"}', lambda _: "never", lambda: 0.0)

    assert not login.read_again()
    assert login.parameters() == {"user": "u", "password": "p"}


def test_a_secret_of_another_shape_is_named_without_its_content() -> None:
    with pytest.raises(SecretUnavailable, match="must be JSON") as caught:
        postgres.Login('{"user": "hush"}', lambda _: "", lambda: 0.0).parameters()

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(("host", "port"), [("db.example", 5432), ("db.example:6432", 6432)])
def test_a_database_host_may_carry_its_port(host: str, port: int) -> None:
    url = postgres.host_url(host, "proxy")

    assert (url.host, url.port, url.database) == ("db.example", port, "proxy")


COOPERATION = """
from core.db import cooperate_with_gevent, open_database
from core.settings import Settings
from sqlalchemy import text
cooperate_with_gevent()
database = open_database(Settings(database_url=sys.argv[1]), pool_size=2)
turns = []
sleeper = gevent.spawn(database.read, lambda c: (c.execute(text("SELECT pg_sleep(1)")), turns.append("slept")))
gevent.sleep(0.02)
turns.append("hub")
sleeper.join()
print(turns)
"""


def test_waiting_for_postgresql_leaves_the_hub_to_others(postgres_server: Any) -> None:
    assert in_patched_process(COOPERATION, pg_url(postgres_server)) == "['hub', 'slept']"


SILENT_SERVER = """
from core import postgres
from core.db import DatabaseAway, cooperate_with_gevent, open_database
from core.settings import Settings
import socket
postgres.CONNECT_TIMEOUT_S = 0.2
cooperate_with_gevent()
server = socket.create_server(("127.0.0.1", 0))
database = open_database(Settings(database_url=f"postgresql://x@localhost:{server.getsockname()[1]}/x"), pool_size=1)
try:
    database.read(lambda c: None)
except DatabaseAway as error:
    print(error)
"""


def test_a_server_that_accepts_and_says_nothing_is_a_database_that_is_away() -> None:
    assert "silent for 0.2 s" in in_patched_process(SILENT_SERVER)


def test_gevent_cooperation_is_refused_in_a_process_that_is_not_patched() -> None:
    with pytest.raises(RuntimeError, match="not patched"):
        postgres.cooperate_with_gevent()
