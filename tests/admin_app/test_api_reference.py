"""The reference page says what the document says, for every operation, with JavaScript off."""

from __future__ import annotations

import re
import shlex
from functools import cache

import pytest

from admin_app.api_reference import OperationShown, Reference
from admin_app.api_routes import all_offers
from admin_app.openapi import document_of
from admin_app.operation import Offer
from admin_app.problems import Kind
from core.actor import Actor, Role
from core.pages import Pages
from tests.admin_app.api_world import KnownBearers
from tests.core.office import NOW

ALL = all_offers(KnownBearers())


@cache
def reference() -> Reference:
    return Reference(document_of(ALL, "1.0"), "https://proxy.example")


def shown(offer: Offer) -> OperationShown:
    return next(each for each in reference().tags[offer.tag] if each.name == offer.operation.name)


@cache
def page() -> str:
    actor = Actor("adm_1", "ada", Role.VIEWER, "session", "ses_1", "203.0.113.9")
    around = {"actor": actor, "token": "x", "now": NOW, "navigation": [], "notice": None, "nav": "api"}
    return Pages("1.0").render(
        "api/reference.html", nouns=reference().tags, kinds=tuple(Kind), base="https://proxy.example/admin/api/v1", **around
    )


@pytest.mark.parametrize("offer", ALL, ids=lambda offer: offer.operation.name)
def test_an_operation_is_shown_with_its_fields_statuses_and_an_example(offer: Offer) -> None:
    found = shown(offer)

    assert (found.method, found.path) == (offer.method, offer.path)
    assert f"role {offer.operation.role}" in found.description or offer.is_open
    assert set(re.findall(r"\{(\w+)\}", offer.path)) <= {each.name for each in found.fields if each.is_required}
    assert {status for status, _ in found.statuses} >= {str(offer.status), "400", "422", "500", "503"}
    assert shlex.split(found.curl)[:3] == ["curl", "-X", offer.method]


@pytest.mark.parametrize("offer", ALL, ids=lambda offer: offer.operation.name)
def test_the_page_has_an_anchor_for_every_operation(offer: Offer) -> None:
    assert f'id="{offer.operation.name}"' in page()


def test_every_link_within_the_page_leads_somewhere() -> None:
    text = page()

    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))


def test_every_kind_of_problem_is_explained_where_its_type_leads() -> None:
    text = page()

    assert [kind.slug for kind in Kind if f'id="{kind.slug}"' not in text] == []


def test_the_fields_of_what_a_list_holds_are_shown() -> None:
    listed = next(each for each in reference().tags["Users"] if each.name == "listUsers")

    assert {"data", "next_cursor", "data[].monthly_budget_usd"} <= {each.name for each in listed.answer}
    assert "1 to 200; default 50" in {each.words for each in listed.fields}
