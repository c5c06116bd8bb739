"""Declared fields: what was sent into a `Shape`, or a sentence for each field that is wrong; money as it travels.

Pure. Knows no HTTP: a form arrives as texts by name, JSON as a parsed object. Invariant: a value that gets through has the
declared type and limits; every problem found is told, not only the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, UnsetType
from msgspec.structs import FieldInfo

from admin_app.operation import BadFields, Shape

S = TypeVar("S", bound=Shape)

MOST_A_PAGE = 200

Text = Annotated[str, Meta(max_length=200, description="at most 200 characters")]
LongText = Annotated[str, Meta(max_length=2000, description="at most 2,000 characters")]
Name = Annotated[str, Meta(min_length=1, max_length=200, description="1 to 200 characters")]
Id = Annotated[str, Meta(min_length=1, max_length=80, description="an id, such as usr_... or key_...")]
Usd = Annotated[Decimal, Meta(description='US dollars a month as a decimal, such as "250" or "12.50"')]
Moment = Annotated[datetime, Meta(tz=True, description="a time with its zone, such as 2026-12-31T00:00:00Z")]
Limit = Annotated[int, Meta(ge=1, le=MOST_A_PAGE, description=f"1 to {MOST_A_PAGE}")]
Cursor = Annotated[str, Meta(max_length=4000, description="the next_cursor of the page before")]


def from_json(takes: type[S], sent: Mapping[str, Any]) -> S:
    """Raises BadFields."""
    return _into(takes, sent, strict=True)


def from_texts(takes: type[S], sent: Mapping[str, str]) -> S:
    """Of a form or a query. An empty field is absent, or nothing at all where the type has None. Raises BadFields."""
    types = {each.encode_name: each.type for each in _fields(takes)}
    given = {name: _from_text(text.strip(), types.get(name)) for name, text in sent.items()}
    return _into(takes, {name: value for name, value in given.items() if value is not msgspec.UNSET}, strict=False)


def typed(takes: type[Shape], texts: Mapping[str, str]) -> dict[str, Any]:
    """Texts of a path as what their fields are, to be put beside JSON; as they came where they are not that."""
    types = {each.encode_name: each.type for each in _fields(takes)}
    return {name: _lax(text, types.get(name)) for name, text in texts.items()}


def usd(micros: int | None) -> Decimal | None:
    """Exact, in dollars."""
    return None if micros is None else (Decimal(micros) / 1_000_000).normalize() + 0


def micros(dollars: Decimal | None, field: str) -> int | None:
    """Raises BadFields for parts of a micro-dollar, and for what is no amount."""
    if dollars is None:
        return None
    if not dollars.is_finite() or abs(dollars) > 10**12 or (dollars * 1_000_000) % 1 != 0:
        raise BadFields({field: "must be dollars with at most six decimals"})
    return int(dollars * 1_000_000)


def utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def limits_of(field_type: Any) -> str:
    """What a field's declaration says of it, for people; empty where it says nothing."""
    for part in (field_type, *_parts(field_type)):
        said = [each.description for each in getattr(part, "__metadata__", ()) if isinstance(each, Meta) and each.description]
        if said:
            return said[0]
    return ""


@cache
def _fields(takes: type[Shape]) -> tuple[FieldInfo, ...]:
    """Declarations do not change, and reading one compiles each of its annotations."""
    return msgspec.structs.fields(takes)


def _into(takes: type[S], sent: Mapping[str, Any], *, strict: bool) -> S:
    if unfit := {name: "holds what cannot be kept" for name, value in sent.items() if not _can_be_kept(value)}:
        raise BadFields(unfit)
    try:
        taken = msgspec.convert(dict(sent), takes, strict=strict)
    except msgspec.ValidationError as error:
        raise BadFields(_problems(takes, sent, strict) or {"": str(error)}) from None
    named = ((each.encode_name, getattr(taken, each.name)) for each in _fields(takes))
    if beyond := {name: "is too far away" for name, value in named if _is_beyond(value)}:
        raise BadFields(beyond)
    return taken


def _problems(takes: type[Shape], sent: Mapping[str, Any], strict: bool) -> dict[str, str]:
    fields = {each.encode_name: each for each in _fields(takes)}
    problems = {name: "is not known here" for name in sent if name not in fields}
    for name, each in fields.items():
        if name not in sent:
            if each.required:
                problems[name] = "is required"
            continue
        try:
            msgspec.convert(sent[name], each.type, strict=strict)
        except msgspec.ValidationError as error:
            problems[name] = _sentence(each.type, str(error))
    return problems


def _can_be_kept(value: Any) -> bool:
    """Databases keep neither NUL nor half of a surrogate pair."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(_can_be_kept(each) for pair in value.items() for each in pair)
    return all(map(_can_be_kept, value)) if isinstance(value, list) else True


def _is_beyond(value: Any) -> bool:
    """A time that is in no year of UTC, or in no zone at all."""
    try:
        return isinstance(value, datetime) and (value.tzinfo is None or not value.astimezone(UTC))
    except OverflowError:
        return True


def _lax(text: str, field_type: Any) -> Any:
    try:
        return text if field_type is None else msgspec.convert(text, field_type, strict=False)
    except msgspec.ValidationError:
        return text


def _sentence(field_type: Any, error: str) -> str:
    if said := limits_of(field_type) or _choices_of(field_type):
        return f"must be {said}"
    return error.partition(" - at")[0].replace("`", "").lower()


def _choices_of(field_type: Any) -> str:
    """Of a field that takes some words only, these; empty for any other."""
    for part in (field_type, *_parts(field_type)):
        if get_origin(part) is Literal:
            words = [str(each) for each in get_args(part) if each != ""]
        elif isinstance(part, type) and issubclass(part, Enum):
            words = [str(each.value) for each in part]
        else:
            continue
        return f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    return ""


def _from_text(text: str, field_type: Any) -> Any:
    parts = {field_type, *_parts(field_type)}
    if text == "":
        return None if NoneType in parts else text if str in parts else msgspec.UNSET
    return _moment(text) if datetime in parts else text


def _moment(text: str) -> str:
    """A browser's `date` or `datetime-local` has no zone: it is UTC, as the label beside it says."""
    try:
        moment = datetime.fromisoformat(text) if "T" in text else datetime.combine(date.fromisoformat(text), datetime.min.time())
    except ValueError:
        return text
    return moment.isoformat() + ("Z" if moment.tzinfo is None else "")


def _parts(field_type: Any) -> tuple[Any, ...]:
    """The types that a field's type is put together of, without the sentinel for absence."""
    if get_origin(field_type) is Annotated:
        return (get_args(field_type)[0], *_parts(get_args(field_type)[0]))
    if isinstance(field_type, UnionType) or get_origin(field_type) is Union:
        members = [each for each in get_args(field_type) if each is not UnsetType]
        return tuple(part for each in members for part in (each, *_parts(each)))
    return ()
