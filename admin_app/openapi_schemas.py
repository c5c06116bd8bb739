"""JSON schemas of what operations take and give, made from the declarations by msgspec.

Adds what msgspec leaves out: that a time is one, that a secret is, that a replayed answer has none. Knows no HTTP.
Invariant: nothing here is written by hand for one noun.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from admin_app.operation import Shape
from admin_app.secret_fields import is_secret

PREFIX = "#/components/schemas/"
_TEMPLATE = PREFIX + "{name}"
_LISTED = re.compile(r"Listed_(\w+?)_$")

Schema = dict[str, Any]


class Schemas:
    """Collects the components of one document."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, given: Any, is_kept: bool = False) -> Schema:
        """A reference to what `given` is described as. `is_kept`: it may be answered again, without its secrets."""
        (schema,), components = msgspec.json.schema_components([given], ref_template=_TEMPLATE)
        for told in _structs(inspect.type_info(given), set()):
            _tell_more(told, components[_name_of(told.cls)], is_kept)
        for name, component in components.items():
            if is_kept or _neat(name) not in self.components:
                self.components[_neat(name)] = _renamed(component)
        found: Schema = _renamed(schema)
        return found

    def fields(self, shape: type[Shape]) -> tuple[dict[str, Schema], list[str]]:
        """Each field's schema, and which are required."""
        whole = self.components[self.of(shape)["$ref"].removeprefix(PREFIX)]
        return whole["properties"], whole["required"]

    def add(self, name: str, schema: Schema) -> Schema:
        """A component of a name of its own; returns a reference to it."""
        self.components[name] = schema
        return {"$ref": PREFIX + name}

    def resolved(self, schema: Schema) -> Schema:
        """The schema itself, with what stands beside its reference."""
        if "$ref" not in schema:
            return schema
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        return {**self.components[schema["$ref"].removeprefix(PREFIX)], **beside}

    def only_used(self, document: Any) -> dict[str, Schema]:
        """The components that are reached from `document`, by name."""
        used: dict[str, Schema] = {}
        pending = list(_references(document))
        while pending:
            name = pending.pop()
            if name not in used:
                used[name] = self.components[name]
                pending.extend(_references(used[name]))
        return dict(sorted(used.items()))


def without_null(schema: Schema) -> Schema:
    """For a query, where a field that is null is simply not there."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    kept = {
        name: value for name, value in schema.items() if name not in ("anyOf", "default") or value not in (None, schema["anyOf"])
    }
    return {**kept, **kinds[0]}


def _structs(told: inspect.Type, seen: set[Any]) -> Iterator[inspect.StructType]:
    """Every struct that is within."""
    if isinstance(told, inspect.StructType):
        if told.cls in seen:
            return
        seen.add(told.cls)
        yield told
    for inner in _within(told):
        yield from _structs(inner, seen)


def _within(told: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(told, inspect.StructType):
        yield from (each.type for each in told.fields)
    elif isinstance(told, inspect.Metadata):
        yield told.type
    elif isinstance(told, inspect.UnionType):
        yield from told.types
    elif isinstance(told, inspect.TupleType):
        yield from told.item_types
    elif isinstance(told, inspect.ListType | inspect.VarTupleType | inspect.SetType | inspect.FrozenSetType):
        yield told.item_type
    elif isinstance(told, inspect.DictType):
        yield told.value_type


def _tell_more(told: inspect.StructType, schema: Schema, is_kept: bool) -> None:
    is_taken = isinstance(told.cls, type) and issubclass(told.cls, Shape)
    for each in told.fields:
        found = schema["properties"][each.encode_name]
        if _is_time(each.type):
            _mark_time(found)
        if is_secret(each.type) and is_taken:
            found["writeOnly"] = True
        elif is_secret(each.type):
            schema["properties"][each.encode_name] = _shown_once(found) if is_kept else {**found, "readOnly": True}


def _shown_once(schema: Schema) -> Schema:
    words = "A secret, told this once: null in an answer that is replayed for its Idempotency-Key."
    kinds = schema.pop("anyOf", None) or [dict(schema)]
    kinds = kinds if {"type": "null"} in kinds else [*kinds, {"type": "null"}]
    return {"anyOf": kinds, "readOnly": True, "description": words}


def _is_time(told: inspect.Type) -> bool:
    if isinstance(told, inspect.Metadata):
        return _is_time(told.type)
    return isinstance(told, inspect.DateTimeType) or (isinstance(told, inspect.UnionType) and any(map(_is_time, told.types)))


def _mark_time(schema: Schema) -> None:
    """msgspec gives a format only to times that were declared with a zone; ours all have one."""
    for each in schema.get("anyOf", [schema]):
        if each.get("type") == "string":
            each.setdefault("format", "date-time")


def _name_of(struct: Any) -> str:
    (schema,), _ = msgspec.json.schema_components([struct], ref_template=_TEMPLATE)
    return str(schema["$ref"]).removeprefix(PREFIX)


def _neat(name: str) -> str:
    """A page of UserShown is a UserShownPage: names of components become names of classes in clients."""
    return _LISTED.sub(r"\1Page", name)


def _renamed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_renamed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: PREFIX + _neat(value.removeprefix(PREFIX)) if name == "$ref" else _renamed(value) for name, value in schema.items()
    }


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from _references(each)
    elif isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith(PREFIX):
            yield reference.removeprefix(PREFIX)
        for value in schema.values():
            yield from _references(value)
