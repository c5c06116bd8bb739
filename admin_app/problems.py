"""What the API says when something is not done: one kind of problem for each reason, as problem+json (RFC 9457).

Knows exceptions and statuses, no request. Invariants: nothing in a problem tells more than the sentence meant for the caller;
every kind is explained on the reference page, where its `type` leads.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import falcon
import msgspec

from admin_app.admission import TooMany, Wrong
from admin_app.cursors import BadCursor
from admin_app.operation import BadFields, NotAllowed, NotConfirmed
from admin_app.password_queue import Busy
from core.access import Invalid, NotFound, Refused
from core.db import DatabaseAway
from core.idempotency import OtherRequest, OutcomeUnknown, UnderWay

MEDIA_TYPE = "application/problem+json"
REFERENCE = "/admin/api"


class Kind(Enum):
    """name, status, title, what it means and what to do."""

    UNREADABLE = ("unreadable", 400, "Not readable", "The query, a header or the JSON cannot be read, or names a field twice.")
    BAD_CURSOR = (
        "bad-cursor", 400, "Not of this list", "A cursor is good for the list, filters and order it came with. Begin anew.",
    )  # fmt: skip
    NO_TOKEN = ("no-token", 401, "No valid token", "Send Authorization: Bearer with a token that has not ended.")
    WRONG_LOGIN = ("wrong-login", 401, "Wrong login", "User name, password or code is wrong; which of them is not told.")
    NOT_ALLOWED = ("not-allowed", 403, "Not with this role", "The role of the admin, or of the token, does not reach so far.")
    NOT_CONFIRMED = (
        "not-confirmed", 403, "Password needed", "Only within ten minutes after signing in: get a new token with POST /token.",
    )  # fmt: skip
    NOT_FROM_HERE = ("not-from-here", 403, "Not from this address", "PROXY_ADMIN_ALLOWED_CIDRS does not hold your address.")
    NOT_FOUND = ("not-found", 404, "Not found", "There is no such address, or nothing of that id.")
    NO_SUCH_METHOD = ("no-such-method", 405, "No such method", "The header Allow says what can be done with this address.")
    TOO_SLOW = ("too-slow", 408, "Too slow", "The body did not arrive within ten seconds.")
    CONFLICT = ("conflict", 409, "Not done", "It contradicts what is there; the detail says what.")
    UNDER_WAY = ("under-way", 409, "Under way", "Another request with this Idempotency-Key is not finished. Try again soon.")
    OUTCOME_UNKNOWN = (
        "outcome-unknown", 409, "Outcome unknown", "The first request with this Idempotency-Key broke off half-way. Look first.",
    )  # fmt: skip
    NO_LENGTH = ("no-length", 411, "No length", "A body needs Content-Length; chunked ones are not taken.")
    TOO_LARGE = ("too-large", 413, "Too large", "A body has at most 64 KB.")
    NOT_JSON = ("not-json", 415, "Not JSON", "A body is application/json, and nothing else.")
    BAD_FIELDS = (
        "bad-fields",
        422,
        "Wrong fields",
        "What was sent cannot be used: the detail says why, and errors has a sentence for each field that is not as declared.",
    )
    KEY_REUSED = ("key-reused", 422, "Key used before", "This Idempotency-Key was used for another request. Make a new one.")
    TOO_MANY = ("too-many", 429, "Too many attempts", "Wait as many seconds as Retry-After says.")
    CRASHED = ("crashed", 500, "Something went wrong", "A defect. The log has the details under the id in instance.")
    AWAY = ("away", 503, "Not now", "The database is away, or too many sign in at once. Try again after Retry-After.")

    def __init__(self, slug: str, status: int, title: str, meaning: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title
        self.meaning = meaning


class NotDone(Exception):
    """`errors`: field -> sentence."""

    def __init__(
        self, kind: Kind, detail: str = "", errors: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = dict(errors or {})
        self.headers = dict(headers or {})


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why something was not done (RFC 9457). `type` leads to an explanation, `instance` is the request's id in the log, `errors`
    has a sentence for each field that is not as declared; what a value means beyond that is in `detail` alone."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: dict[str, str] = {}


_BY_STATUS = {
    403: Kind.NOT_FROM_HERE,
    404: Kind.NOT_FOUND,
    405: Kind.NO_SUCH_METHOD,
    408: Kind.TOO_SLOW,
    411: Kind.NO_LENGTH,
    413: Kind.TOO_LARGE,
    415: Kind.NOT_JSON,
}
_REFUSALS: tuple[tuple[type[Refused], Kind], ...] = (
    (NotFound, Kind.NOT_FOUND),
    (NotAllowed, Kind.NOT_ALLOWED),
    (NotConfirmed, Kind.NOT_CONFIRMED),
    (BadCursor, Kind.BAD_CURSOR),
    (BadFields, Kind.BAD_FIELDS),
    (Invalid, Kind.BAD_FIELDS),
    (OtherRequest, Kind.KEY_REUSED),
    (UnderWay, Kind.UNDER_WAY),
    (OutcomeUnknown, Kind.OUTCOME_UNKNOWN),
)


def problem_of(error: Exception) -> NotDone:
    """What to tell of an exception; `CRASHED` for one that nobody expected."""
    if isinstance(error, NotDone):
        return error
    if isinstance(error, Refused):
        kind = next((kind for refusal, kind in _REFUSALS if isinstance(error, refusal)), Kind.CONFLICT)
        problems = error.problems if isinstance(error, BadFields) else {}
        errors = {name: text for name, text in problems.items() if name}
        return NotDone(kind, f"{error}." if errors else _sentence(str(error)), errors)  # a field is spelt as it is sent
    if isinstance(error, DatabaseAway):
        return NotDone(Kind.AWAY, "The database is away. Please try again in a moment.", headers={"retry-after": "5"})
    if isinstance(error, Wrong):
        return NotDone(Kind.WRONG_LOGIN, "User name, password or code is wrong.", headers=challenge())
    if isinstance(error, TooMany):
        return NotDone(Kind.TOO_MANY, f"Please wait {error.wait_s} s.", headers={"retry-after": str(error.wait_s)})
    if isinstance(error, Busy):
        return NotDone(Kind.AWAY, "Too many sign in at this moment.", headers={"retry-after": "5"})
    if isinstance(error, falcon.HTTPError):
        kind = _BY_STATUS.get(error.status_code, Kind.UNREADABLE)
        return NotDone(kind, error.description or kind.meaning, headers=dict(error.headers or {}))
    return NotDone(Kind.CRASHED, Kind.CRASHED.meaning)


def challenge(error: str = "") -> dict[str, str]:
    """What a 401 carries."""
    more = f', error="{error}"' if error else ""
    return {"www-authenticate": f'Bearer realm="admin"{more}'}


def answer(problem: NotDone, request_id: str, resp: falcon.Response) -> None:
    kind = problem.kind
    told = Problem(
        type=f"{REFERENCE}#{kind.slug}", title=kind.title, status=kind.status, detail=problem.detail, instance=request_id,
        errors=problem.errors,
    )  # fmt: skip
    resp.status = falcon.code_to_http_status(kind.status)
    resp.content_type = MEDIA_TYPE
    resp.data = msgspec.json.encode(told)
    for name, value in problem.headers.items():
        resp.set_header(name, value)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
