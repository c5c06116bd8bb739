"""A field that says it is secret is left out of what is kept, and described as such."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from admin_app.openapi_schemas import Schemas
from admin_app.operation import Listed, Shape, Shown
from admin_app.secret_fields import SECRET, secret_fields, without_secrets


class Inner(Shown, frozen=True, kw_only=True):
    at: datetime
    key: Annotated[str, SECRET] | None = None


class Outer(Shown, frozen=True, kw_only=True):
    name: str
    token: Annotated[str, Meta(min_length=1, extra={"secret": True})]
    inner: list[Inner]
    by_name: dict[str, Inner]
    left_out: str | UnsetType = UNSET


class Taken(Shape, frozen=True, kw_only=True):
    name: str
    password: Annotated[str, SECRET] | UnsetType = UNSET


INNER = Inner(at=datetime(2026, 5, 1, tzinfo=UTC), key="hush")
OUTER = Outer(name="a", token="hush", inner=[INNER], by_name={"x": INNER})


def test_secret_fields_are_known_by_their_declaration() -> None:
    assert (secret_fields(Outer), secret_fields(Inner), secret_fields(Taken)) == ({"token"}, {"key"}, {"password"})


def test_what_is_kept_has_null_for_every_secret_however_deep() -> None:
    inner = {"at": "2026-05-01T00:00:00Z", "key": None}

    assert without_secrets(OUTER) == {"name": "a", "token": None, "inner": [inner], "by_name": {"x": inner}}
    assert "hush" not in str(without_secrets(Listed(data=[OUTER])))


def test_a_secret_that_may_be_asked_for_again_is_described_as_null_then() -> None:
    schemas = Schemas()
    schemas.of(Outer, is_kept=True)

    token, key = (schemas.components[name]["properties"][field] for name, field in (("Outer", "token"), ("Inner", "key")))
    assert (token["readOnly"], token["anyOf"][-1]) == (True, {"type": "null"})
    assert (key["readOnly"], key["anyOf"]) == (True, [{"type": "string"}, {"type": "null"}])


def test_a_secret_that_is_sent_is_described_as_write_only() -> None:
    fields, required = Schemas().fields(Taken)

    assert fields["password"]["writeOnly"] is True
    assert "writeOnly" not in fields["name"]
    assert required == ["name"]


def test_times_are_described_as_such() -> None:
    schemas = Schemas()
    schemas.of(Listed[Inner])

    assert schemas.components["Inner"]["properties"]["at"]["format"] == "date-time"
    assert set(schemas.components) == {"Inner", "InnerPage"}
