"""An app, its owner's browser and an office: what the tests of the pages of keys begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from admin_app.app import AdminApp
from tests.admin_app.browser import Browser
from tests.admin_app.desk import Probe
from tests.admin_app.page_world import database_url as database_url
from tests.admin_app.page_world import office as office
from tests.admin_app.whole_app import PASSWORD, admin_app


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
def app(database_url: str, tmp_path: Path, probe: Probe) -> Iterator[AdminApp]:
    app = admin_app(database_url, tmp_path, probe, public_url="https://proxy.example.com")
    yield app
    app.close()


@pytest.fixture
def owner(app: AdminApp) -> Browser:
    browser = Browser(app)
    browser.sign_in("admin", PASSWORD)
    return browser
