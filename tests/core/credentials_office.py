"""An office and credentials that know its admins, with a clock to turn: what the tests of credentials begin with."""

from __future__ import annotations

import pytest

from core.db import Database
from tests.core.admin_office import AdminOffice


@pytest.fixture
def office(database: Database) -> AdminOffice:
    return AdminOffice(database)
