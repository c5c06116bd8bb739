"""Every operation once on what is there, with what its description asks for: done, and answered as its schema says.

Operations come from the table that serves them; one without a body of its own here is asked with the example that the
reference shows, so that a new one is asked as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from admin_app.api_routes import all_offers
from admin_app.openapi import document_of
from admin_app.operation import Offer
from core.actor import Role
from core.admin_sessions import Caller
from core.api_tokens import NewToken, issue_token
from tests.admin_app.api_world import BASE, KnownBearers
from tests.admin_app.whole_app import PASSWORD
from tests.core.office import NOW, SERVER_SECRET
from tests.security.house import HOME_ADDRESS, House, Visitor, open_house

ALL = all_offers(KnownBearers())
Ids = Mapping[str, str]
BODIES: dict[str, Callable[[Ids], dict[str, Any]]] = {
    "createToken": lambda _: {"username": "the-owner", "password": PASSWORD},
    "createUser": lambda _: {"name": "build server", "email": "build@example.com", "monthly_budget_usd": "250"},
    "updateUser": lambda _: {"strategy": "bedrock_only", "monthly_budget_usd": None},
    "issueAccessKey": lambda ids: {"user_id": ids["user_id"], "name": "desktop", "requests_per_minute": 60},
    "updateAccessKey": lambda _: {"name": "renamed", "expires_at": None},
    "attachBedrockKey": lambda ids: {"user_id": ids["user_id"], "secret": "bedrock-sandbox", "region": "us-east-1"},
    "createLink": lambda ids: {"user_id": ids["user_id"], "name": "laptop"},
    "setPrice": lambda _: {"model": "claude-opus-5-5", "input": "4", "output": "20"},
    "addModel": lambda _: {"model": "claude-ours", "bedrock": "anthropic.claude-opus-5-5", "like": "claude-opus-5-5"},
    "createAdmin": lambda _: {"username": "grace", "role": "editor"},
    "createApiToken": lambda _: {"name": "nightly", "role": "viewer", "expires_at": "2027-01-01T00:00:00Z"},
}
QUERIES = {"listClaudeSessions": "?user_id={user_id}"}


@pytest.fixture(scope="module")
def library(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """For what only reads."""
    opened = open_house(sqlite_template, tmp_path_factory.mktemp("library"))
    yield opened
    opened.app.close()
    opened.database.close()


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    """Of each test's own: what it does cannot be taken back."""
    opened = open_house(sqlite_template, tmp_path)
    yield opened
    opened.app.close()
    opened.database.close()


def named(offer: Offer) -> str:
    return offer.operation.name


@cache
def document() -> dict[str, Any]:
    return document_of(ALL, "1.0")


def described(offer: Offer) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][offer.path][offer.method.lower()]
    return found


def token_of(house: House, admin_id: str) -> str:
    new = NewToken("a program", Role.VIEWER, NOW + timedelta(days=1))
    return house.database.run(lambda c: issue_token(c, admin_id, new, SERVER_SECRET, NOW)).id


def session_of(house: House, admin_id: str) -> str:
    begin = house.app.doorkeeper.credentials.begin_session
    return house.database.run(lambda c: begin(c, admin_id, Caller(HOME_ADDRESS))).session.id


def places(house: House, offer: Offer, owner_id: str) -> dict[str, str]:
    """What stands in the address: of what is one's own the owner's, of what is another admin's theirs."""
    ids = dict(house.furnished.ids)
    whose = ids["admin_id"] if "{admin_id}" in offer.path else owner_id
    if not offer.path.startswith("/claude-sessions"):
        ids["session_id"] = session_of(house, whose)
    return {**ids, "token_id": token_of(house, whose)} if "{token_id}" in offer.path else ids


def signed_in(house: House) -> str:
    """A token as `createToken` gives it."""
    sent = json.dumps({"username": "the-owner", "password": PASSWORD})
    answer = Visitor().send(house.app, "POST", f"{BASE}/token", sent, {"content-type": "application/json"})
    return str(answer.json["access_token"])


def do(house: House, offer: Offer) -> Any:
    ids = places(house, offer, house.admins[Role.OWNER])
    headers = {} if offer.is_open else {"authorization": f"Bearer {signed_in(house)}"}
    body = None
    if "requestBody" in described(offer):
        example = described(offer)["requestBody"]["content"]["application/json"]["example"]
        body = json.dumps(BODIES.get(named(offer), lambda _: example)(ids))
        headers["content-type"] = "application/json"
    return Visitor().send(
        house.app, offer.method, BASE + (offer.path + QUERIES.get(named(offer), "")).format(**ids), body, headers
    )


def schema_of(offer: Offer) -> dict[str, Any] | None:
    """Of the answer, with all that it refers to; None where there is no body."""
    content = described(offer)["responses"][str(offer.status)].get("content")
    return content and {**content["application/json"]["schema"], "components": document()["components"]}


def faults_of(offer: Offer, answer: Any) -> list[str]:
    """How it is not what the description says."""
    if answer.status_code != offer.status:
        return [f"{answer.status_code} instead of {offer.status}: {answer.text}"]
    schema = schema_of(offer)
    if schema is None:
        return ["a body"] * bool(answer.text)
    return [each.message for each in Draft202012Validator(schema).iter_errors(answer.json)]


@pytest.mark.parametrize("offer", [each for each in ALL if each.method == "GET"], ids=named)
def test_what_is_there_is_read_as_its_schema_says(library: House, offer: Offer) -> None:
    assert faults_of(offer, do(library, offer)) == []


@pytest.mark.parametrize("offer", [each for each in ALL if each.method != "GET"], ids=named)
def test_an_operation_does_on_what_is_there_what_it_says(house: House, offer: Offer) -> None:
    assert faults_of(offer, do(house, offer)) == []


def test_bodies_belong_to_operations_that_take_one() -> None:
    assert set(BODIES) <= {named(offer) for offer in ALL if "requestBody" in described(offer)}
