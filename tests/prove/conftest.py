"""One house of a million requests for all proofs that measure time in a process: half a minute to make, seconds to copy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.prove import crowd


@pytest.fixture(scope="session")
def crowded(postgres_server: Any) -> Iterator[str]:
    """A database with the house of crowd.py, to be copied; with as many records as CROWD_RECORDS says."""
    url = postgres_server.migrated()
    crowd.load(url, int(os.environ.get("CROWD_RECORDS", crowd.RECORDS)))
    yield url
    postgres_server.drop(url)
