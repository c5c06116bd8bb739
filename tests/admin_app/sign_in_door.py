"""The door of an administration, and whether somebody is in: what the tests of signing in begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin_app.browser import Browser
from tests.admin_app.door import Door


@pytest.fixture
def door(sqlite_template: Path, tmp_path: Path) -> Iterator[Door]:
    copy = tmp_path / "door.sqlite"
    copy.write_bytes(sqlite_template.read_bytes())
    opened = Door(tmp_path, f"sqlite:///{copy}")
    yield opened
    opened.close()


def is_in(browser: Browser) -> bool:
    return browser.send("GET", "/admin/account").status_code == 200
