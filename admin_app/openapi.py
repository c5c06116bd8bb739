"""The API's description, OpenAPI 3.1, made from the table of what it offers (SPEC section 11).

Pure: declarations in, a document out. Invariants: what validates is what is described; every status that an operation can give
is there, and each that says no is a problem+json.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from admin_app.openapi_examples import example_of
from admin_app.openapi_schemas import PREFIX, Schema, Schemas, without_null
from admin_app.operation import Nothing, Offer
from admin_app.problems import MEDIA_TYPE, Kind, Problem
from core.threads import paced

SERVER = "/admin/api/v1"
BODIES = ("POST", "PUT", "PATCH")
_JSON = "application/json"
_IN_PATH = re.compile(r"\{(\w+)\}")
_ABOUT = (
    "Everything that the administration can do. Get a token with `POST /token`, or make an API token on your account's page, and "
    "send it as `Authorization: Bearer`. Lists come a page at a time: ask again with `next_cursor` until it is null. Money is a "
    "decimal in US dollars, as a string; times are RFC 3339 in UTC. A POST with an `Idempotency-Key` is done once, however often "
    "it is sent within 24 hours."
)
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Of your choice, a new one for each thing to be done. Sent again within 24 hours, the same request is "
    "done once, and answered as the first time but for its secrets.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "example": "7c0f6c1e-issue-for-build-server",
}
_ALWAYS = (Kind.UNREADABLE, Kind.NOT_FROM_HERE, Kind.BAD_FIELDS, Kind.CRASHED, Kind.AWAY)
_OF_BODIES = (Kind.TOO_SLOW, Kind.NO_LENGTH, Kind.TOO_LARGE, Kind.NOT_JSON)
_OF_CHANGES = (Kind.NOT_FOUND, Kind.CONFLICT)
_HEADERS = {
    401: ("WWW-Authenticate", "What to come with."),
    429: ("Retry-After", "In how many seconds to try again."),
    503: ("Retry-After", "In how many seconds to try again."),
}


def describe(offers: Sequence[Offer], version: str) -> bytes:
    """As JSON."""
    return msgspec.json.encode(document_of(offers, version))


def document_of(offers: Sequence[Offer], version: str) -> dict[str, Any]:
    """A fifth of a second of work, in which a server goes on with everything else."""
    schemas = Schemas()
    schemas.of(Problem)
    refusals: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for offer in paced(offers):
        paths.setdefault(offer.path, {})[offer.method.lower()] = _operation(offer, schemas, refusals)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ClaudeCodeProxy administration", "version": version, "description": _ABOUT},
        "servers": [{"url": SERVER}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(offer.tag for offer in offers)],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The JWT of POST /token, or an API token."}
            },
            "responses": dict(sorted(refusals.items())),
            "schemas": schemas.only_used([paths, refusals]),
        },
    }


def kinds_of(offer: Offer) -> list[Kind]:
    """How it can be refused."""
    return sorted(_kinds(offer), key=lambda kind: (kind.status, kind.slug))


def _kinds(offer: Offer) -> Iterator[Kind]:
    has_body, is_change = offer.method in BODIES, offer.method != "GET"
    yield from _ALWAYS
    if offer.is_open:
        yield from (*_OF_BODIES, Kind.WRONG_LOGIN, Kind.TOO_MANY)
        return
    yield from (Kind.NO_TOKEN, Kind.NOT_ALLOWED)
    if offer.operation.is_sensitive:
        yield Kind.NOT_CONFIRMED
    if has_body:
        yield from (*_OF_BODIES, Kind.UNDER_WAY, Kind.OUTCOME_UNKNOWN, Kind.KEY_REUSED)
    if is_change:
        yield from _OF_CHANGES
        return
    if _IN_PATH.search(offer.path):
        yield Kind.NOT_FOUND
    if "cursor" in offer.operation.takes.__struct_fields__:
        yield Kind.BAD_CURSOR


def _operation(offer: Offer, schemas: Schemas, refusals: dict[str, Any]) -> dict[str, Any]:
    operation = offer.operation
    in_path = _IN_PATH.findall(offer.path)
    fields, required = schemas.fields(operation.takes)
    beside = {name: schema for name, schema in fields.items() if name not in in_path}
    has_body = offer.method in BODIES
    parameters = [_parameter(name, "path", fields[name], True) for name in in_path]
    if not has_body:
        parameters += [_parameter(name, "query", without_null(schema), name in required) for name, schema in beside.items()]
    elif not offer.is_open:
        parameters.append(_KEY)
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": _who(offer),
        "tags": [offer.tag],
        "parameters": parameters,
        "responses": _responses(offer, schemas, refusals),
    }
    if has_body and beside:
        described["requestBody"] = _body(offer, schemas, beside, [name for name in required if name in beside])
    if offer.is_open:
        described["security"] = []
    return described


def _who(offer: Offer) -> str:
    operation = offer.operation
    who = "For whoever the allowlist lets in." if offer.is_open else f"Needs the role {operation.role}."
    lately = " The password must have been given within ten minutes; API tokens are exempt." if operation.is_sensitive else ""
    return f"{who}{lately} {' '.join((operation.takes.__doc__ or '').split())}".strip()


def _parameter(name: str, place: str, schema: Schema, is_required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": is_required, "description": schema.get("description", ""), "schema": schema}


def _body(offer: Offer, schemas: Schemas, fields: dict[str, Schema], required: list[str]) -> dict[str, Any]:
    name = offer.operation.name[:1].upper() + offer.operation.name[1:]
    whole = {"type": "object", "title": name, "properties": fields, "required": required, "additionalProperties": False}
    examples = {field: example_of(field, schemas.resolved(schema), schemas) for field, schema in fields.items()}
    example = {field: value for field, value in examples.items() if field in required or value not in ("", None)}
    content = {"schema": schemas.add(name, whole), "example": example}
    return {"required": bool(required), "content": {_JSON: content}}


def _responses(offer: Offer, schemas: Schemas, refusals: dict[str, Any]) -> dict[str, Any]:
    is_kept = offer.method in BODIES and not offer.is_open
    done: dict[str, Any] = {"description": "Done."}
    if offer.operation.gives is not Nothing:
        done["content"] = {_JSON: {"schema": schemas.of(offer.operation.gives, is_kept)}}
    if is_kept:
        words = "true where this is the answer to an earlier request with the same Idempotency-Key."
        done["headers"] = {"Idempotency-Replayed": {"description": words, "schema": {"type": "string", "const": "true"}}}
    return {str(offer.status): done, **dict(_refused(kinds_of(offer), refusals))}


def _refused(kinds: list[Kind], refusals: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Status -> a reference to the refusal, which is added to `refusals` once for all operations that have the same."""
    for status in dict.fromkeys(kind.status for kind in kinds):
        alike = [kind for kind in kinds if kind.status == status]
        name = "-or-".join(kind.slug for kind in alike)
        refusals[name] = _refusal(status, alike)
        yield str(status), {"$ref": f"#/components/responses/{name}"}


def _refusal(status: int, kinds: list[Kind]) -> dict[str, Any]:
    description = "\n\n".join(f"`{kind.slug}`: {kind.meaning}" for kind in kinds)
    refusal: dict[str, Any] = {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": f"{PREFIX}Problem"}}}}
    if status in _HEADERS:
        header, words = _HEADERS[status]
        refusal["headers"] = {header: {"description": words, "schema": {"type": "string"}}}
    return refusal
