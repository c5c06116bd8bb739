"""The API under many generated requests, on PostgreSQL, with seeds that differ: `make prove`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from schemathesis import GenerationMode

from admin_app.api_routes import all_offers
from admin_app.operation import Offer
from core.db import open_database
from core.settings import Settings
from tests.admin_app.api_world import ApiWorld, KnownBearers
from tests.admin_app.generated import Effort, attack
from tests.conftest import PostgresServer

pytestmark = pytest.mark.prove
ALL = all_offers(KnownBearers())


@pytest.fixture
def world(postgres_server: PostgresServer) -> Iterator[ApiWorld]:
    url = postgres_server.migrated()
    database = open_database(Settings(database_url=url), pool_size=2)
    yield ApiWorld(database)
    database.close()
    postgres_server.drop(url)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"])
@pytest.mark.parametrize("offer", ALL, ids=lambda offer: offer.operation.name)
def test_many_generated_requests_are_answered_as_documented(
    world: ApiWorld, offer: Offer, mode: GenerationMode, seed: int
) -> None:
    known = {"user_id": world.add_user("Ada")["id"]} if mode is GenerationMode.POSITIVE else {}

    assert attack(world, offer, mode, Effort(200, seed), known) > 0
