"""What a request to the API carries, into the fields of a declared `Shape`: path, query, JSON.

Knows HTTP's framing, no noun. Invariants: at most `MOST_BYTES` are read, within `_READ_S` seconds; a field is never taken twice,
nor from a place where it does not belong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import falcon
import msgspec

from admin_app.fields import from_json, from_texts, typed
from admin_app.operation import BadFields, Shape
from admin_app.problems import Kind, NotDone
from core.threads import TookTooLong, time_limit

MOST_BYTES = 64 * 1024
BODIES = frozenset({"POST", "PUT", "PATCH"})
_READ_S = 10.0
_MOST_FIELDS = 50
_TYPE = "application/json"


def shape_of(takes: type[Shape], req: falcon.Request, path: Mapping[str, str], body: bytes) -> Shape:
    """Path and JSON where the method has a body, else path and query. Raises BadFields, NotDone."""
    query = _query(req)
    if req.method not in BODIES:
        return from_texts(takes, _beside(path, query))
    if query:
        raise BadFields(dict.fromkeys(query, "is not known in the query"))
    return from_json(takes, _beside(typed(takes, path), _document(body)))


def read_body(req: falcon.Request) -> bytes:
    """Empty where there is none. Raises NotDone."""
    length = req.content_length or 0
    if req.get_header("transfer-encoding"):
        raise NotDone(Kind.NO_LENGTH, Kind.NO_LENGTH.meaning)
    if length == 0:
        return b""
    if req.method not in BODIES:
        raise NotDone(Kind.UNREADABLE, f"{req.method} has no body here.")
    if length > MOST_BYTES:
        raise NotDone(Kind.TOO_LARGE, Kind.TOO_LARGE.meaning)
    if (req.content_type or "").partition(";")[0].strip().lower() != _TYPE:
        raise NotDone(Kind.NOT_JSON, Kind.NOT_JSON.meaning)
    body = _read(req, length)
    req.context.is_body_read = True
    return body


def _read(req: falcon.Request, length: int) -> bytes:
    try:
        with time_limit(_READ_S):
            body: bytes = req.env["wsgi.input"].read(length)
    except TookTooLong:
        raise NotDone(Kind.TOO_SLOW, Kind.TOO_SLOW.meaning) from None
    except OSError:
        raise NotDone(Kind.UNREADABLE, "The body did not arrive.") from None
    if len(body) != length:
        raise NotDone(Kind.UNREADABLE, "The body did not arrive.")
    return body


def _query(req: falcon.Request) -> dict[str, str]:
    try:
        pairs = parse_qsl(req.query_string, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise NotDone(Kind.UNREADABLE, "The query cannot be read.") from None
    return _once(pairs, "The query")


def _document(body: bytes) -> dict[str, Any]:
    """msgspec is strict about JSON and UTF-8, but takes a field that is there twice."""
    try:
        found = msgspec.json.decode(body or b"{}")
        json.loads(body or b"{}", object_pairs_hook=lambda pairs: _once(pairs, "The JSON"))
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise NotDone(Kind.UNREADABLE, "The body is not JSON that can be read.") from None
    if not isinstance(found, dict):
        raise NotDone(Kind.UNREADABLE, "The body must be a JSON object.")
    return found


def _once(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotDone(Kind.UNREADABLE, f"{what} names a field twice.")
    return found


def _beside(path: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Raises BadFields for a field of the path that is sent beside it, too."""
    if twice := path.keys() & sent.keys():
        raise BadFields(dict.fromkeys(sorted(twice), "is in the path already"))
    return {**sent, **path}
