"""A posted form as a mapping, read within limits. Knows HTTP's framing and nothing of what the fields mean.

Invariant: at most `_MOST_BYTES` are read, within `_READ_S` seconds; who sends more, or slowly, is refused, and the gate closes
the connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import falcon

from core.threads import TookTooLong, time_limit

_MOST_BYTES = 8192
_MOST_FIELDS = 20
_READ_S = 10.0
_TYPE = "application/x-www-form-urlencoded"


def read_form(req: falcon.Request) -> Mapping[str, str]:
    """The fields; of one sent twice, the last. Raises falcon.HTTPError."""
    if (req.content_type or "").partition(";")[0].strip().lower() != _TYPE:
        raise falcon.HTTPUnsupportedMediaType(title="This address takes a form")
    if not req.content_length:  # chunked ones too: no browser sends a form so
        raise falcon.HTTPLengthRequired(title="The form has no length")
    if req.content_length > _MOST_BYTES:
        raise falcon.HTTPContentTooLarge(title="The form is too large")
    body = _read(req, req.content_length)
    req.context.is_body_read = True
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise falcon.HTTPBadRequest(title="The form cannot be read") from None


def _read(req: falcon.Request, length: int) -> bytes:
    try:
        with time_limit(_READ_S):
            body: bytes = req.env["wsgi.input"].read(length)
    except TookTooLong:
        raise falcon.HTTPError(falcon.HTTP_408, title="The form did not arrive in time") from None
    except OSError:
        raise falcon.HTTPBadRequest(title="The form did not arrive") from None
    if len(body) != length:
        raise falcon.HTTPBadRequest(title="The form did not arrive")
    return body
