"""The admin app with an office and a browser before it: what the tests of its pages begin with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import Result

from admin_app.app import AdminApp, Surroundings
from core.crypto import LocalVault
from core.db import open_database
from core.heartbeat import Load, Worker, WorkerSeen
from core.local_files import LocalSecrets
from core.log import AccessLog, LineWriter
from core.settings import Settings
from tests.admin_app.browser import Browser
from tests.admin_app.desk import Probe
from tests.admin_app.whole_app import HASH, SECRET
from tests.core.office import NOW, Office


@dataclass
class World:
    """A worker around the admin app."""

    log_path: Path
    load: Load = field(default_factory=lambda: Load("ready"))
    now: float = NOW.timestamp()
    ids: list[str] = field(default_factory=list)

    def around(self) -> Surroundings:
        writer = LineWriter(os.open(self.log_path, os.O_CREAT | os.O_WRONLY | os.O_APPEND))
        vault, probe = LocalVault(bytes(32)), Probe()
        return Surroundings(
            self.seen, self.new_id, AccessLog(writer), vault, probe, frozenset(), lambda: self.now, lambda: self.now
        )

    def seen(self) -> WorkerSeen:
        return WorkerSeen(Worker("wrk_1", "some-host", 42, NOW), self.load, datetime.fromtimestamp(self.now, UTC))

    def new_id(self) -> str:
        self.ids.append(f"req_{len(self.ids)}")
        return self.ids[-1]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]


MakeApp = Callable[..., AdminApp]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "log")


@pytest.fixture
def make_app(world: World, database_url: str) -> Iterator[MakeApp]:
    made: list[AdminApp] = []

    def make(**changes: Any) -> AdminApp:
        given = {"database_url": database_url, "admin_password_hash": HASH, **changes}
        settings = Settings(**given)
        secrets = LocalSecrets("s" * 32, SECRET, settings.admin_password_hash)
        made.append(AdminApp(settings, secrets, open_database(settings, pool_size=1), world.around()))
        return made[-1]

    yield make
    for app in made:
        app.close()


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: the pages do not know the difference, the reports' own tests run on both."""
    copy = tmp_path / "pages.sqlite"
    copy.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{copy}"


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    database = open_database(Settings(database_url=database_url), pool_size=1)
    yield Office(database)
    database.close()


@pytest.fixture
def browser(make_app: MakeApp) -> Browser:
    return Browser(make_app())


def form_of(answer: Result) -> bool:
    return 'action="/admin/login"' in answer.text
