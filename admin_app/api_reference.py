"""The API's reference for people, at `/admin/api`: the same document as openapi.json, as a page (SPEC section 11).

Knows the document and pages, no noun. Invariant: what the page says is read from the document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import falcon

from admin_app.front import Front
from admin_app.openapi import SERVER, document_of
from admin_app.openapi_schemas import PREFIX, Schema
from admin_app.operation import Offer
from admin_app.problems import Kind
from core.version import VERSION

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class FieldShown:
    """`place`: path, query, header or body; empty for a field of an answer."""

    name: str
    place: str
    kind: str
    is_required: bool
    words: str


@dataclass(frozen=True, slots=True)
class OperationShown:
    name: str
    method: str
    path: str
    summary: str
    description: str
    fields: tuple[FieldShown, ...]
    answer_name: str
    answer: tuple[FieldShown, ...]
    statuses: tuple[tuple[str, tuple[str, ...]], ...]
    curl: str


class Reference:
    """Reads a document."""

    def __init__(self, document: dict[str, Any], base_url: str) -> None:
        self._document = document
        self._base_url = base_url

    @cached_property
    def tags(self) -> dict[str, list[OperationShown]]:
        """Tag -> its operations, in the document's order."""
        found: dict[str, list[OperationShown]] = {tag["name"]: [] for tag in self._document["tags"]}
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                found[operation["tags"][0]].append(self._shown(method.upper(), path, operation))
        return found

    def _shown(self, method: str, path: str, operation: dict[str, Any]) -> OperationShown:
        done = next(answer for status, answer in operation["responses"].items() if status < "300")
        given = done.get("content", {}).get(_JSON, {}).get("schema")
        return OperationShown(
            operation["operationId"],
            method,
            path,
            operation["summary"],
            operation["description"].replace("`", ""),
            (*self._parameters(operation), *self._body(operation)),
            _short(given) if given else "",
            tuple(self._answer(given)) if given else (),
            tuple(self._statuses(operation)),
            self._curl(method, path, operation),
        )

    def _parameters(self, operation: dict[str, Any]) -> Iterator[FieldShown]:
        for each in operation["parameters"]:
            words = self._words({"description": each["description"], **each["schema"]})
            yield FieldShown(each["name"], each["in"], self._kind(each["schema"]), each["required"], words)

    def _body(self, operation: dict[str, Any]) -> Iterator[FieldShown]:
        if "requestBody" in operation:
            yield from self._properties(operation["requestBody"]["content"][_JSON]["schema"], "body")

    def _properties(self, schema: Schema, place: str) -> Iterator[FieldShown]:
        whole = self._resolved(schema)
        for name, each in whole.get("properties", {}).items():
            yield FieldShown(name, place, self._kind(each), name in whole.get("required", ()), self._words(each))

    def _answer(self, schema: Schema) -> Iterator[FieldShown]:
        """Its fields; of a page of a list also those of what is listed."""
        yield from self._properties(schema, "")
        items = self._resolved(schema).get("properties", {}).get("data", {}).get("items")
        for each in self._properties(items, "") if items else ():
            yield replace(each, name=f"data[].{each.name}")

    def _words(self, schema: Schema) -> str:
        told = [each.get("description", "") for each in (schema, *schema.get("anyOf", ()))]
        words = next(filter(None, told), "")
        default = schema.get("default")
        return f"{words}; default {default}".removeprefix("; ") if default not in (None, "") else words

    def _kind(self, schema: Schema) -> str:
        """In a few words: text, number, one of a, b."""
        if "anyOf" in schema:
            return " or ".join(self._kind(each) for each in schema["anyOf"])
        found = self._resolved(schema)
        if "enum" in found:
            return f"one of {', '.join(map(str, found['enum']))}" if len(found["enum"]) > 1 else f'"{found["enum"][0]}"'
        if found.get("type") == "array":
            return f"list of {_short(found['items']) if '$ref' in found['items'] else self._kind(found['items'])}"
        if found.get("type") == "object" and "$ref" in schema:
            return _short(schema)
        return str(found.get("format") or found.get("type", "anything")).replace("date-time", "time").replace("string", "text")

    def _statuses(self, operation: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
        for status, answer in operation["responses"].items():
            name = answer.get("$ref", "").rpartition("/")[2]
            yield status, tuple(name.split("-or-")) if name else ()

    def _curl(self, method: str, path: str, operation: dict[str, Any]) -> str:
        lines = [f'curl -X {method} "{self._base_url}{SERVER}{path.replace("{", "<").replace("}", ">")}"']
        if operation.get("security") != []:
            lines.append('-H "Authorization: Bearer $TOKEN"')
        if any(each["name"] == "Idempotency-Key" for each in operation["parameters"]):
            lines.append('-H "Idempotency-Key: $(uuidgen)"')
        if "requestBody" in operation:
            example = json.dumps(operation["requestBody"]["content"][_JSON]["example"], indent=2)
            lines += ['-H "Content-Type: application/json"', f"-d '{example}'"]
        return " \\\n  ".join(lines)

    def _resolved(self, schema: Schema) -> Schema:
        found: Schema = self._document["components"]["schemas"][_short(schema)] if "$ref" in schema else schema
        return found


class ReferencePage:
    """`/admin/api`. Read from the document once a process."""

    def __init__(self, front: Front, offers: Sequence[Offer]) -> None:
        self._front = front
        self._offers = offers

    @cached_property
    def _reference(self) -> Reference:
        return Reference(document_of(self._offers, VERSION), self._front.tools.settings.base_url)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._front.enter(req, resp)
        base = f"{self._front.tools.settings.base_url}{SERVER}"
        self._front.show(req, resp, "api/reference.html", nav="api", nouns=self._reference.tags, kinds=tuple(Kind), base=base)


def _short(schema: Schema) -> str:
    return str(schema.get("$ref", "")).removeprefix(PREFIX)
