"""Every operation that the API offers, from its table: reachable, documented, and done for nobody whose role does not reach."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from admin_app.api_routes import OFFERS, all_offers
from admin_app.fields import from_json
from admin_app.openapi import BODIES, document_of, kinds_of
from admin_app.openapi_schemas import PREFIX
from admin_app.operation import Nothing, Offer, Shape
from admin_app.secret_fields import secret_fields
from core.actor import Role
from core.version import VERSION
from tests.admin_app.api_world import ApiWorld, KnownBearers
from tests.admin_app.api_world import database_url as database_url
from tests.admin_app.api_world import world as world

ALL = all_offers(KnownBearers())
CLOSED = [offer for offer in ALL if not offer.is_open]


def named(offer: Offer) -> str:
    return offer.operation.name


@cache
def document() -> dict[str, Any]:
    """Made once: every test here reads it, and none changes it."""
    return document_of(ALL, "1.0")


def described(offer: Offer) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][offer.path][offer.method.lower()]
    return found


def somewhere(offer: Offer) -> str:
    """Its path, with things that are not there."""
    return re.sub(r"\{(\w+)\}", "1", offer.path)


def example(offer: Offer) -> Any:
    return (
        described(offer)["requestBody"]["content"]["application/json"]["example"] if "requestBody" in described(offer) else None
    )


def call(world: ApiWorld, offer: Offer, token: str) -> tuple[int, str]:
    answer = world.ask(offer.method, somewhere(offer), example(offer), token=token)
    return answer.status_code, (answer.json or {}).get("type", "") if answer.content else ""


@pytest.mark.parametrize("offer", CLOSED, ids=named)
@pytest.mark.parametrize("token", ["", "never-issued"])
def test_nobody_does_anything_without_a_token(world: ApiWorld, offer: Offer, token: str) -> None:
    assert call(world, offer, token) == (401, "/admin/api#no-token")


@pytest.mark.parametrize("offer", CLOSED, ids=named)
def test_a_token_that_was_revoked_does_nothing(world: ApiWorld, offer: Offer) -> None:
    assert world.ask("DELETE", "/token").status_code == 204

    assert call(world, offer, "owner") == (401, "/admin/api#no-token")


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("offer", CLOSED, ids=named)
def test_a_role_does_what_is_its_own_and_nothing_above(world: ApiWorld, offer: Offer, role: Role) -> None:
    reaches = role.includes(offer.operation.role)

    assert (call(world, offer, role) == (403, "/admin/api#not-allowed")) is not reaches


@pytest.mark.parametrize("offer", ALL, ids=named)
def test_an_operation_is_reached_and_answers_what_is_documented(world: ApiWorld, offer: Offer) -> None:
    status, problem = call(world, offer, "owner")

    assert str(status) in described(offer)["responses"]
    assert status not in (405, 500)
    assert problem != "/admin/api#no-token"


@pytest.mark.parametrize("offer", ALL, ids=named)
def test_every_field_of_an_operation_is_documented_in_one_place(offer: Offer) -> None:
    operation = described(offer)
    beside = [each["name"] for each in operation["parameters"] if each["in"] in ("path", "query")]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    within = document()["components"]["schemas"][body["$ref"].removeprefix(PREFIX)]["properties"] if body else {}

    assert sorted([*beside, *within]) == sorted(each.encode_name for each in msgspec.structs.fields(offer.operation.takes))


@pytest.mark.parametrize("offer", [offer for offer in ALL if example(offer) is not None], ids=named)
def test_the_example_of_a_body_is_valid(offer: Offer) -> None:
    path = dict.fromkeys(re.findall(r"\{(\w+)\}", offer.path), "1")

    assert from_json(offer.operation.takes, {**example(offer), **path})


@pytest.mark.parametrize("offer", ALL, ids=named)
def test_every_refusal_is_documented_as_a_problem(offer: Offer) -> None:
    responses, shared = described(offer)["responses"], document()["components"]["responses"]
    refusals = {status: shared[answer["$ref"].rpartition("/")[2]] for status, answer in responses.items() if "$ref" in answer}

    assert set(refusals) == {str(kind.status) for kind in kinds_of(offer)} == set(responses) - {str(offer.status)}
    assert {media_type for refusal in refusals.values() for media_type in refusal["content"]} == {"application/problem+json"}


@pytest.mark.parametrize("offer", ALL, ids=named)
def test_an_answer_is_documented_where_there_is_one(offer: Offer) -> None:
    done = described(offer)["responses"][str(offer.status)]

    assert ("content" in done) == (offer.operation.gives is not Nothing)
    assert (offer.status == 204) == (offer.operation.gives is Nothing)


@pytest.mark.parametrize("offer", ALL, ids=named)
def test_the_security_of_an_operation_is_documented(offer: Offer) -> None:
    assert described(offer).get("security", document()["security"]) == ([] if offer.is_open else [{"bearer": []}])


@pytest.mark.parametrize("offer", ALL, ids=named)
def test_an_idempotency_key_is_documented_where_it_is_taken(offer: Offer) -> None:
    headers = [each["name"] for each in described(offer)["parameters"] if each["in"] == "header"]

    assert headers == (["Idempotency-Key"] if offer.method in BODIES and not offer.is_open else [])


def test_the_document_is_valid_openapi_3_1() -> None:
    assert document()["openapi"] == "3.1.0"
    assert [error.message for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_names_of_operations_and_addresses_are_there_once() -> None:
    names = [offer.operation.name for offer in ALL]
    places = [(offer.method, offer.path) for offer in ALL]

    assert (len(set(names)), len(set(places))) == (len(names), len(places))
    assert [offer for offer in OFFERS if not offer.tag] == []


def test_bodies_and_answers_do_not_share_a_name() -> None:
    """A body's component is named by its operation."""
    given = {each.__name__ for each in (offer.operation.gives for offer in ALL) if isinstance(each, type)}

    assert given & {name[:1].upper() + name[1:] for name in map(named, ALL)} == set()


def test_the_document_is_served_with_this_release_s_version_and_without_a_token(world: ApiWorld) -> None:
    answer = world.send("GET", "/admin/api/openapi.json", None, {})

    assert answer.status_code == 200
    assert answer.json == json.loads(json.dumps(document_of(ALL, VERSION)))
    assert answer.json["info"]["version"] == VERSION


def test_a_secret_that_is_sent_is_write_only_and_one_that_is_given_read_only() -> None:
    schemas = document()["components"]["schemas"]

    assert schemas["CreateToken"]["properties"]["password"]["writeOnly"] is True
    assert schemas["Token"]["properties"]["access_token"]["readOnly"] is True
    assert "writeOnly" not in schemas["CreateToken"]["properties"]["username"]


@pytest.mark.parametrize("offer", ALL, ids=named)
def test_no_operation_takes_a_secret_in_the_address(offer: Offer) -> None:
    taken: type[Shape] = offer.operation.takes

    assert offer.method in BODIES or secret_fields(taken) == frozenset()


# A name like this is a secret's, unless it is said here why not.
SECRET_NAME = re.compile(r"(^|_)(secret|password|access_token|access_key|totp|link|url)$")
NO_SECRET = {
    ("AdminShown", "has_totp"): "whether there is one",
    ("AdminMade", "has_totp"): "whether there is one",
    ("AdminShown", "password_changed_at"): "a time",
    ("AdminMade", "password_changed_at"): "a time",
    ("Login", "totp"): "good for thirty seconds, and taken in no operation whose answer is kept",
    ("SystemShown", "base_url"): "of the installation, without a key in it",
}


@pytest.mark.parametrize("offer", ALL, ids=named)
def test_a_field_that_sounds_secret_is_declared_so(offer: Offer) -> None:
    """Or its value would be kept for an Idempotency-Key."""
    structs = [each for each in (offer.operation.takes, offer.operation.gives) if isinstance(each, type)]
    found = [(each.__name__, name, name in secret_fields(each)) for each in structs for name in each.__struct_fields__]

    assert [
        (struct, name)
        for struct, name, is_declared in found
        if SECRET_NAME.search(name) and not is_declared and (struct, name) not in NO_SECRET
    ] == []
