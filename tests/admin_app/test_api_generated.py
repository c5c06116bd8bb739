"""The API under generated requests: no 5xx, no status that is not documented, every answer as its schema says.

A bounded run with a fixed seed.
"""

from __future__ import annotations

import pytest
from schemathesis import GenerationMode
from schemathesis.checks import FailureGroup
from schemathesis.core.failures import Failure

from admin_app.api_routes import all_offers
from admin_app.operation import Doing, Nothing, Offer, Operation, Shape, asks
from core.actor import Role
from tests.admin_app.api_world import ApiWorld, KnownBearers
from tests.admin_app.api_world import database_url as database_url
from tests.admin_app.api_world import world as world
from tests.admin_app.generated import Effort, attack

ALL = all_offers(KnownBearers())
WITH_PATH = [offer for offer in ALL if "{" in offer.path]
EFFORT = Effort(examples=12)


def named(offer: Offer) -> str:
    return offer.operation.name


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"])
@pytest.mark.parametrize("offer", ALL, ids=named)
def test_generated_requests_are_answered_as_documented(world: ApiWorld, offer: Offer, mode: GenerationMode) -> None:
    assert attack(world, offer, mode, EFFORT) > 0


@pytest.mark.parametrize("offer", WITH_PATH, ids=named)
def test_generated_requests_to_what_is_there_are_answered_as_documented(world: ApiWorld, offer: Offer) -> None:
    known = {"user_id": world.add_user("Ada")["id"]}

    assert attack(world, offer, GenerationMode.POSITIVE, EFFORT, known) > 0


class Few(Shape, frozen=True, kw_only=True):
    number: int


def _breaks(_: Doing, taken: Few) -> Nothing:
    raise ZeroDivisionError(taken.number)


def test_a_defect_would_be_seen(world: ApiWorld) -> None:
    broken = Offer("POST", "/broken", Operation("break", "Break", Role.VIEWER, Few, Nothing, asks(_breaks)), 204, tag="x")

    with pytest.raises((Failure, FailureGroup), match="Server error"):
        attack(ApiWorld(world.database, more=(broken,)), broken, GenerationMode.POSITIVE, EFFORT)
