"""Which declared fields are secret, and what an answer is without them.

A field says so itself: `Annotated[str, SECRET]`. Pure. Invariant: what `without_secrets` gives holds no value of such a field,
however deep it is.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Meta, inspect

SECRET = Meta(extra={"secret": True})


def secret_fields(struct: type[msgspec.Struct]) -> frozenset[str]:
    """Names as they travel."""
    told = inspect.type_info(struct)
    return frozenset(each.encode_name for each in getattr(told, "fields", ()) if is_secret(each.type))


def is_secret(told: inspect.Type) -> bool:
    """Whether a field of this type, or one member of it, is declared so."""
    if isinstance(told, inspect.Metadata):
        return bool((told.extra or {}).get("secret")) or is_secret(told.type)
    return isinstance(told, inspect.UnionType) and any(is_secret(member) for member in told.types)


def without_secrets(value: Any) -> Any:
    """Ready for JSON, with null where a secret was."""
    if isinstance(value, msgspec.Struct):
        hidden = secret_fields(type(value))
        given = ((each.encode_name, getattr(value, each.name)) for each in msgspec.structs.fields(value))
        return {name: None if name in hidden else without_secrets(inner) for name, inner in given if inner is not msgspec.UNSET}
    if isinstance(value, list | tuple):
        return [without_secrets(each) for each in value]
    if isinstance(value, dict):
        return {name: without_secrets(each) for name, each in value.items()}
    return msgspec.to_builtins(value)
