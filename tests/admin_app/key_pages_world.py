"""An app, its owner's browser and an office: what the tests of the pages of keys begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from admin_app.app import AdminApp
from core.db import open_database
from core.settings import Settings
from tests.admin_app.browser import Browser
from tests.admin_app.desk import Probe
from tests.admin_app.whole_app import PASSWORD, admin_app
from tests.core.office import Office


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: the pages do not know the difference, the operations' own tests run on both."""
    copy = tmp_path / "pages.sqlite"
    copy.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{copy}"


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
def app(database_url: str, tmp_path: Path, probe: Probe) -> Iterator[AdminApp]:
    app = admin_app(database_url, tmp_path, probe, public_url="https://proxy.example.com")
    yield app
    app.close()


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    database = open_database(Settings(database_url=database_url), pool_size=1)
    yield Office(database)
    database.close()


@pytest.fixture
def owner(app: AdminApp) -> Browser:
    browser = Browser(app)
    browser.sign_in("admin", PASSWORD)
    return browser
