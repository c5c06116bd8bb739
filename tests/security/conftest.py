"""A furnished house for each file that asks for one, and for some the running product with a browser before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import upstreams as upstreams
from tests.browser.conftest import visit as visit
from tests.security.house import House, open_house


@pytest.fixture(scope="module")
def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    opened = open_house(sqlite_template, tmp_path_factory.mktemp("house"))
    yield opened
    opened.app.close()
    opened.database.close()
