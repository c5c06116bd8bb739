"""The proofs at full size run in two processes: those that measure time one after the other in one of them, with one house of a
million requests between them, the others in the second."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.prove import crowd

TIMED = ("test_admin_speed.py", "test_hub_gaps.py", "test_reports_beside_requests.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "prove":
            item.add_marker(pytest.mark.xdist_group("timed" if item.path.name in TIMED else item.path.name))


@pytest.fixture(scope="session")
def crowded(postgres_server: Any) -> Iterator[str]:
    """A database with the house of crowd.py, to be copied; with as many records as CROWD_RECORDS says."""
    url = postgres_server.migrated()
    crowd.load(url, int(os.environ.get("CROWD_RECORDS", crowd.RECORDS)))
    yield url
    postgres_server.drop(url)
