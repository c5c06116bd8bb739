"""An example for each declared field: the declaration's own where it has one, else made from what the schema says.

Pure. Invariant: an example is itself valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from admin_app.openapi_schemas import Schema, Schemas

_BY_FORMAT = {"date-time": "2027-01-01T00:00:00Z", "date": "2027-01-01", "decimal": "250"}


def example_of(name: str, schema: Schema, schemas: Schemas) -> Any:
    """`schema` is no mere reference."""
    if schema.get("examples"):
        return schema["examples"][0]
    kinds = [schemas.resolved(each) for each in schema.get("anyOf", [schema])]
    kind = next((each for each in kinds if each.get("type") != "null"), kinds[0])
    if kind.get("examples"):
        return kind["examples"][0]
    if schema.get("default") is not None and schema["default"] != "":
        return schema["default"]
    if kind.get("enum"):
        return kind["enum"][0]
    made = {"string": _text, "integer": _number, "number": _number, "array": _array, "object": _object, "boolean": _yes}
    return made[kind["type"]](name, kind, schemas) if kind.get("type") in made else None


def _text(name: str, kind: Schema, _: Schemas) -> str:
    if kind.get("format") in _BY_FORMAT:
        return _BY_FORMAT[kind["format"]]
    text = f"<{name.replace('_', ' ')}>" if kind.get("minLength") else ""
    return text[: kind.get("maxLength", len(text))]


def _number(_: str, kind: Schema, __: Schemas) -> int:
    return int(kind.get("minimum", kind.get("exclusiveMinimum", 0) + 1))


def _yes(_: str, __: Schema, ___: Schemas) -> bool:
    return True


def _array(name: str, kind: Schema, schemas: Schemas) -> list[Any]:
    items = kind.get("items")
    return [example_of(name, schemas.resolved(items), schemas)] if isinstance(items, dict) else []


def _object(_: str, kind: Schema, schemas: Schemas) -> dict[str, Any]:
    fields = kind.get("properties", {})
    return {field: example_of(field, schemas.resolved(fields[field]), schemas) for field in kind.get("required", ())}
