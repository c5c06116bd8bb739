"""What admins do with access keys: the declarations, and what each does through core (SPEC sections 8, 11).

Invariant: a key's text is in the answer of the operation that made it, and in no other; never in the audit log.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from admin_app.cursors import after_of, listed
from admin_app.edits import Edit, as_texts
from admin_app.fields import Cursor, Id, Limit, Moment, Text, Usd, micros, usd
from admin_app.operation import Doing, Listed, Offer, Operation, Shape, Shown, asks, changes
from admin_app.secret_fields import SECRET
from core import access_keys
from core.access_keys import MOST_REQUESTS_PER_MINUTE, AccessKey, IssuedKey, KeyOptions
from core.actor import Role
from core.key_list import KeyFilter, KeyLine, KeySort, KeyStatus, key_line, key_lines
from core.types import Strategy, UserStatus
from core.users import find_user

_MOST_RATE = f"1 to {MOST_REQUESTS_PER_MINUTE:,} messages a minute"
PerMinute = Annotated[int, Meta(ge=1, le=MOST_REQUESTS_PER_MINUTE, description=_MOST_RATE)]
_WEEK_S = int(timedelta(days=7).total_seconds())
GraceSeconds = Annotated[int, Meta(ge=0, le=_WEEK_S, description=f"0 to {_WEEK_S} seconds")]


class KeyShown(Shown, frozen=True, kw_only=True):
    """An access key, of its text the first characters. `strategy` null: its user's, as `effective_strategy` says.
    `old_secret_until`: after a rotation, until when the text before it is good."""

    id: str
    user_id: str
    user_name: str
    user_status: UserStatus
    prefix: str
    name: str
    status: KeyStatus
    strategy: Strategy | None
    effective_strategy: Strategy
    monthly_budget_usd: Decimal | None
    spent_this_month_usd: Decimal
    requests_per_minute: int | None
    expires_at: datetime | None
    old_secret_until: datetime | None
    last_seen_at: datetime | None
    last_seen_address: str
    revoked_at: datetime | None
    created_at: datetime


class IssuedShown(KeyShown, frozen=True, kw_only=True):
    """`access_key` is told this once; `base_url` is what its owner sets as ANTHROPIC_BASE_URL."""

    access_key: Annotated[str, SECRET]
    base_url: Annotated[str, SECRET]

    def __repr__(self) -> str:
        return f"IssuedShown(id={self.id!r})"


class FindKeys(Shape, frozen=True, kw_only=True):
    """Keys that are not revoked, unless `status` asks for those. `search` looks at the key's first characters and name and its
    user's name; a whole id is found, too."""

    search: Text = ""
    user_id: Text = ""
    status: KeyStatus | None = None
    sort: KeySort = KeySort.NEWEST
    limit: Limit = 50
    cursor: Cursor = ""


class TheKey(Shape, frozen=True, kw_only=True):
    key_id: Id


class NewKey(Shape, frozen=True, kw_only=True):
    """Null: no expiry, the user's strategy, no budget or limit of its own."""

    user_id: Id
    name: Text = ""
    expires_at: Moment | None = None
    strategy: Strategy | None = None
    monthly_budget_usd: Usd | None = None
    requests_per_minute: PerMinute | None = None


FORM = ("name", "expires_at", "strategy", "monthly_budget_usd", "requests_per_minute")


class ChangedKey(Shape, frozen=True, kw_only=True):
    """What is not named stays as it is; null takes it away."""

    key_id: Id
    name: Text | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    strategy: Strategy | UnsetType | None = UNSET
    monthly_budget_usd: Usd | UnsetType | None = UNSET
    requests_per_minute: PerMinute | UnsetType | None = UNSET


class RotatedKey(Shape, frozen=True, kw_only=True):
    """The text before stays good for `grace_s` seconds; 0 where it got into wrong hands."""

    key_id: Id
    grace_s: GraceSeconds = 300


def _find(doing: Doing, taken: FindKeys) -> Listed[KeyShown]:
    wanted, month = KeyFilter(taken.search, taken.user_id, taken.status, taken.sort), doing.tools.month(doing.now)
    page = key_lines(doing.connection, wanted, doing.now, month, taken.limit, after_of(doing, taken))
    return listed(doing, taken, page, lambda line: shown(line, doing.now))


def _get(doing: Doing, taken: TheKey) -> KeyShown:
    return shown(_line(doing, taken.key_id), doing.now)


def _issue(doing: Doing, taken: NewKey) -> IssuedShown:
    user, tools, options = find_user(doing.connection, taken.user_id), doing.tools, options_of(taken)
    issued = access_keys.issue_key(doing.connection, user, tools.server_secret, tools.limits, doing.now, options)
    told = _issued(doing, issued)
    doing.note("access_key.issue", issued.id, {}, {"user_id": user.id, "prefix": told.prefix, **noted(options)})
    return told


def _change(doing: Doing, taken: ChangedKey, edit: Edit | None = None) -> KeyShown:
    def changed(options: KeyOptions) -> KeyOptions:
        if edit is not None:
            edit.check(form_of(options))
        return _changed(options, taken)

    before = access_keys.find_key(doing.connection, taken.key_id)
    after = access_keys.change_key(doing.connection, before.id, changed, doing.tools.limits, doing.now)
    doing.note("access_key.update", after.id, noted(before.options), noted(after.options))
    return _get(doing, TheKey(key_id=after.id))


def _rotate(doing: Doing, taken: RotatedKey) -> IssuedShown:
    before = access_keys.find_key(doing.connection, taken.key_id)
    issued = access_keys.rotate_key(doing.connection, before.id, doing.tools.server_secret, taken.grace_s, doing.now)
    told = _issued(doing, issued)
    grace = {"grace_s": taken.grace_s}
    doing.note("access_key.rotate", issued.id, {"prefix": before.prefix}, {"prefix": told.prefix, **grace})
    return told


def _revoke(doing: Doing, taken: TheKey) -> KeyShown:
    before = access_keys.find_key(doing.connection, taken.key_id)
    access_keys.revoke_key(doing.connection, before.id, doing.now)
    doing.note("access_key.revoke", before.id, {"status": before.status(doing.now)}, {"status": KeyStatus.REVOKED})
    return _get(doing, taken)


def form_of(options: KeyOptions) -> dict[str, str]:
    """What the form shows of them."""
    budget = usd(options.monthly_budget_micros)
    values = (options.name, options.expires_at, options.strategy, budget, options.requests_per_minute)
    return as_texts(dict(zip(FORM, values, strict=True)))


def options_of(taken: Any) -> KeyOptions:
    """Of a shape with a key's options. Raises BadFields."""
    budget = micros(taken.monthly_budget_usd, "monthly_budget_usd")
    return KeyOptions(taken.name.strip(), taken.expires_at, taken.strategy, budget, taken.requests_per_minute)


def _changed(options: KeyOptions, taken: ChangedKey) -> KeyOptions:
    names = ("name", "expires_at", "strategy", "requests_per_minute")
    given = {name: getattr(taken, name) for name in names if getattr(taken, name) is not UNSET}
    if _is_same_second(given.get("expires_at"), options.expires_at):
        del given["expires_at"]  # a form shows whole seconds, and sends back what it showed
    if taken.monthly_budget_usd is not UNSET:
        given["monthly_budget_micros"] = micros(taken.monthly_budget_usd, "monthly_budget_usd")
    return replace(options, **given)


def _is_same_second(moment: datetime | None, other: datetime | None) -> bool:
    return moment is not None and other is not None and moment.replace(microsecond=0) == other.replace(microsecond=0)


def _issued(doing: Doing, issued: IssuedKey) -> IssuedShown:
    facts = _facts(_line(doing, issued.id), doing.now)
    return IssuedShown(**facts, access_key=issued.access_key, base_url=doing.tools.base_url(issued.access_key))


def _line(doing: Doing, key_id: str) -> KeyLine:
    return key_line(doing.connection, key_id, doing.tools.month(doing.now))


def shown(line: KeyLine, now: datetime) -> KeyShown:
    return KeyShown(**_facts(line, now))


def _facts(line: KeyLine, now: datetime) -> dict[str, Any]:
    key, options = line.key, line.key.options
    return {
        "id": key.id,
        "user_id": key.user_id,
        "user_name": key.user_name,
        "user_status": line.user_status,
        "prefix": key.prefix,
        "name": options.name,
        "status": KeyStatus(key.status(now)),
        "strategy": options.strategy,
        "effective_strategy": line.strategy,
        "monthly_budget_usd": usd(options.monthly_budget_micros),
        "spent_this_month_usd": usd(line.spent_micros),
        "requests_per_minute": options.requests_per_minute,
        "expires_at": options.expires_at,
        "old_secret_until": _grace_end(key, now),
        "last_seen_at": key.last_seen.at,
        "last_seen_address": key.last_seen.address,
        "revoked_at": key.revoked_at,
        "created_at": key.created_at,
    }


def _grace_end(key: AccessKey, now: datetime) -> datetime | None:
    """None for a grace that is over, or that the key's own end overtook."""
    until = key.previous_valid_until
    return until if until is not None and until > now and key.status(now) == KeyStatus.ACTIVE else None


def noted(options: KeyOptions) -> dict[str, Any]:
    """For the audit log."""
    budget = None if options.monthly_budget_micros is None else str(usd(options.monthly_budget_micros))
    limits = {"monthly_budget_usd": budget, "requests_per_minute": options.requests_per_minute}
    return {"name": options.name, "expires_at": options.expires_at, "strategy": options.strategy, **limits}


LIST = Operation("listAccessKeys", "Find access keys", Role.VIEWER, FindKeys, Listed[KeyShown], asks(_find))
GET = Operation("getAccessKey", "One access key", Role.VIEWER, TheKey, KeyShown, asks(_get))
ISSUE = Operation("issueAccessKey", "Issue an access key and tell it once", Role.EDITOR, NewKey, IssuedShown, changes(_issue))
CHANGE = Operation("updateAccessKey", "Change an access key", Role.EDITOR, ChangedKey, KeyShown, changes(_change))


def editing(edit: Edit) -> Operation:
    """CHANGE, unless somebody else changed the same meanwhile. Raises ChangedMeanwhile."""
    return replace(CHANGE, run=changes(lambda doing, taken: _change(doing, taken, edit)))


ROTATE = Operation(
    "rotateAccessKey", "A new text for the same key, told once", Role.EDITOR, RotatedKey, IssuedShown, changes(_rotate)
)
REVOKE = Operation("revokeAccessKey", "End an access key, for good", Role.EDITOR, TheKey, KeyShown, changes(_revoke))

OFFERS = (
    Offer("GET", "/access-keys", LIST, tag="Access keys"),
    Offer("POST", "/access-keys", ISSUE, 201, tag="Access keys"),
    Offer("GET", "/access-keys/{key_id}", GET, tag="Access keys"),
    Offer("PATCH", "/access-keys/{key_id}", CHANGE, tag="Access keys"),
    Offer("POST", "/access-keys/{key_id}/rotate", ROTATE, tag="Access keys"),
    Offer("POST", "/access-keys/{key_id}/revoke", REVOKE, tag="Access keys"),
)
