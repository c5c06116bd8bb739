"""What the API offers of keys and links: addresses and declarations belong together."""

from __future__ import annotations

import re

import msgspec
import pytest

from admin_app import access_key_operations, bedrock_key_operations, claim_operations
from admin_app.operation import Offer
from core.actor import Role

OFFERS = (*access_key_operations.OFFERS, *bedrock_key_operations.OFFERS, *claim_operations.OFFERS)


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.operation.name)
def test_every_name_in_an_address_is_a_field_that_is_required(offer: Offer) -> None:
    required = {field.name for field in msgspec.structs.fields(offer.operation.takes) if field.required}

    assert set(re.findall(r"{(\w+)}", offer.path)) <= required


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.operation.name)
def test_reading_is_for_viewers_and_changing_for_editors(offer: Offer) -> None:
    assert offer.operation.role is (Role.VIEWER if offer.method == "GET" else Role.EDITOR)


def test_no_two_operations_share_a_name_or_an_address() -> None:
    assert len({offer.operation.name for offer in OFFERS}) == len(OFFERS)
    assert len({(offer.method, offer.path) for offer in OFFERS}) == len(OFFERS)
