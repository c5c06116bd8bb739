"""One-time links: somebody who has one may make one access key, once (SPEC section 8). A link holds no key.

Functions on a Connection, to be called inside `Database.run`. Refuses to know HTTP and pages. Invariants: a link ends in the
transaction that issues its key, so there are both or neither; unknown, used, expired, withdrawn, and of a user who is not
active: all the same. Only the press of a button that made the key is answered with it again, for a moment: nothing is kept for
that, since the key's text is made of the link, the press and the server secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, insert, select, update

from core.access import Invalid, Limits, NotFound
from core.access_keys import IssuedKey, KeyOptions, check_options, issue_key, reword_key
from core.crypto import derived_access_key, hash_access_key, hash_claim_token, new_claim_token
from core.ids import new_id
from core.keyset import By, Order, Page, Place
from core.models import access_keys, claims, users
from core.revision import bump
from core.types import Strategy, UserStatus
from core.users import User, find_user

GOOD_FOR = timedelta(hours=24)
SHOWN_AGAIN_FOR = timedelta(minutes=2)
_TOKEN = re.compile(r"[0-9A-Za-z_\-]{22}")


class NotClaimable(Exception):
    """There is nothing behind this link, or not any more. Deliberately one for all reasons."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A link as it is handed out; the only time its token is known."""

    id: str
    expires_at: datetime
    token: str = field(repr=False)


def open_claim(connection: Connection, user: User, options: KeyOptions, server_secret: str, now: datetime) -> Claim:
    """A link for one key of these options. Raises Invalid."""
    check_options(options, now)
    bump(connection, "grants")
    if find_user(connection, user.id).status is not UserStatus.ACTIVE:
        raise Invalid(f"the user {user.name} is not active")
    connection.execute(delete(claims).where(claims.c.used_at.is_(None), claims.c.expires_at <= now))
    claim = Claim(new_id("lnk"), now + GOOD_FOR, new_claim_token())
    row = {"id": claim.id, "token_hash": hash_claim_token(server_secret, claim.token), "user_id": user.id}
    times = {"expires_at": claim.expires_at, "created_at": now}
    connection.execute(insert(claims), [{**row, **times, **_columns(options)}])
    return claim


@dataclass(frozen=True, slots=True)
class OpenClaim:
    """A link that is good still, as it may be shown: without its token. `options` are those of the key that it stands for."""

    id: str
    user_id: str
    user_name: str
    options: KeyOptions
    expires_at: datetime
    created_at: datetime


def open_claims(
    connection: Connection, now: datetime, limit: int, user_id: str = "", after: Place | None = None
) -> Page[OpenClaim]:
    """Those that may be used, all or one user's; the newest first."""
    query = _open(now)
    if user_id:
        query = query.where(claims.c.user_id == user_id)
    return Order((By(claims.c.id, is_down=True),)).page(connection, query, limit, _open_claim, after)


def find_open_claim(connection: Connection, claim_id: str, now: datetime) -> OpenClaim:
    """Raises NotFound, also for one that was used, withdrawn or has expired."""
    row = connection.execute(_open(now).where(claims.c.id == claim_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no open link {claim_id}")
    return _open_claim(row)


def check_claim(connection: Connection, token: str, server_secret: str, now: datetime) -> None:
    """Changes nothing. Raises NotClaimable."""
    _find(connection, token, server_secret, now)


def use_claim(
    connection: Connection, token: str, server_secret: str, limits: Limits, now: datetime, press: str = ""
) -> IssuedKey:
    """The key, and the end of the link. `press`: 22 random characters of the page whose button is pressed; the same press again
    gets the same key, within two minutes and while that is in force. Raises NotClaimable; LimitReached, Invalid: then the link
    stays good."""
    bump(connection, "grants")
    access_key = derived_access_key(server_secret, token, press) if _TOKEN.fullmatch(press) else ""
    try:
        row = _find(connection, token, server_secret, now)
    except NotClaimable:
        return _shown_again(connection, access_key, server_secret, now)
    options = _options(row)
    issued = issue_key(connection, find_user(connection, row.user_id), server_secret, limits, now, options)
    if access_key:
        issued = reword_key(connection, issued.id, access_key, server_secret, now)
    connection.execute(update(claims).where(claims.c.id == row.id).values(used_at=now, access_key_id=issued.id))
    return issued


def _shown_again(connection: Connection, access_key: str, server_secret: str, now: datetime) -> IssuedKey:
    """A text that only this link and this press lead to, so it is enough to find its key. Raises NotClaimable."""
    mine = and_(
        claims.c.used_at > now - SHOWN_AGAIN_FOR,
        access_keys.c.secret_hash == hash_access_key(server_secret, access_key),
        access_keys.c.revoked_at.is_(None),
        users.c.status == UserStatus.ACTIVE,
    )
    joined = claims.join(access_keys, claims.c.access_key_id == access_keys.c.id).join(users, claims.c.user_id == users.c.id)
    found = connection.execute(select(access_keys.c.id).select_from(joined).where(mine)).scalar_one_or_none()
    if found is None:
        raise NotClaimable
    return IssuedKey(found, access_key)


def withdraw_claims(connection: Connection, user_id: str) -> int:
    """Every link of a user that is not used yet ends. How many there were."""
    return connection.execute(delete(claims).where(claims.c.user_id == user_id, claims.c.used_at.is_(None))).rowcount


def withdraw_claim(connection: Connection, claim_id: str) -> None:
    """One link ends that is not used yet. Raises NotFound."""
    bump(connection, "grants")
    if connection.execute(delete(claims).where(claims.c.id == claim_id, claims.c.used_at.is_(None))).rowcount == 0:
        raise NotFound(f"there is no open link {claim_id}")


def _open(now: datetime) -> Select[Any]:
    shown = [column for column in claims.c if column.name != "token_hash"]
    good = and_(claims.c.used_at.is_(None), claims.c.expires_at > now, users.c.status == UserStatus.ACTIVE)
    return select(*shown, users.c.name.label("user_name")).join(users).where(good)


def _open_claim(row: Row[Any]) -> OpenClaim:
    return OpenClaim(row.id, row.user_id, row.user_name, _options(row), row.expires_at, row.created_at)


def _find(connection: Connection, token: str, server_secret: str, now: datetime) -> Row[Any]:
    if _TOKEN.fullmatch(token) is None:
        raise NotClaimable
    good = and_(claims.c.used_at.is_(None), claims.c.expires_at > now, users.c.status == UserStatus.ACTIVE)
    mine = claims.c.token_hash == hash_claim_token(server_secret, token)
    row = connection.execute(select(claims).join(users).where(mine, good)).one_or_none()
    if row is None:
        raise NotClaimable
    return row


def _options(row: Row[Any]) -> KeyOptions:
    strategy = Strategy(row.strategy) if row.strategy else None
    return KeyOptions(row.name, row.key_expires_at, strategy, row.monthly_budget_micros, row.requests_per_minute)


def _columns(options: KeyOptions) -> dict[str, Any]:
    return {
        "name": options.name,
        "key_expires_at": options.expires_at,
        "strategy": options.strategy,
        "monthly_budget_micros": options.monthly_budget_micros,
        "requests_per_minute": options.requests_per_minute,
    }
