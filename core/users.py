"""Users: who may have keys (SPEC section 8).

Functions on a Connection, to be called inside `Database.run`. Refuses to know HTTP, pages and keys, but for what becomes of
them when their user goes. Invariant: every change adds 1 to `revisions.grants` in its own transaction, first of all, so that
changes wait for each other and limits hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from core.access import Invalid, LimitReached, Limits, NameTaken, NotFound
from core.ids import new_id
from core.models import access_keys, bedrock_keys, claims, users
from core.revision import bump
from core.spend_rows import forget_warnings
from core.types import Strategy, UserStatus

MOST_BUDGET_MICROS = 10**15  # a billion dollars
_MOST_NOTE_CHARS = 2000
_MOST_EMAIL_CHARS = 320


@dataclass(frozen=True, slots=True)
class Profile:
    """What else is known of a user."""

    email: str = ""
    note: str = ""
    monthly_budget_micros: int | None = None


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    strategy: Strategy
    status: UserStatus
    profile: Profile
    created_at: datetime


def add_user(
    connection: Connection, name: str, strategy: Strategy, limits: Limits, now: datetime, profile: Profile = Profile()
) -> User:
    """A new active user. Raises Invalid, NameTaken, LimitReached."""
    user = _checked(User(new_id("usr"), name.strip(), Strategy(strategy), UserStatus.ACTIVE, profile, now))
    bump(connection, "grants")
    _check_name_is_free(connection, user)
    there_are = select(func.count()).select_from(users).where(users.c.status != UserStatus.DELETED)
    if connection.execute(there_are).scalar_one() >= limits.max_users:
        raise LimitReached(f"there are {limits.max_users} users, as many as PROXY_MAX_USERS allows")
    fixed = {"id": user.id, "status": user.status, "created_at": now}
    connection.execute(insert(users), [{**fixed, **_columns(user, now)}])
    return user


def find_user(connection: Connection, name_or_id: str) -> User:
    """An id wins over a name. Raises NotFound, also for deleted ones."""
    matches = or_(users.c.id == name_or_id, users.c.name == name_or_id)
    rows = connection.execute(select(users).where(matches, users.c.status != UserStatus.DELETED)).all()
    if not rows:
        raise NotFound(f"there is no user {name_or_id}")
    return user_of(next((row for row in rows if row.id == name_or_id), rows[0]))


def list_users(connection: Connection) -> list[User]:
    """All that are not deleted, by name."""
    query = select(users).where(users.c.status != UserStatus.DELETED).order_by(users.c.name)
    return [user_of(row) for row in connection.execute(query)]


def change_user(connection: Connection, user_id: str, change: Callable[[User], User], now: datetime) -> User:
    """Name, strategy and profile as `change` makes them of what they are now. Raises NotFound, Invalid, NameTaken."""
    bump(connection, "grants")
    before = find_user(connection, user_id)
    after = _checked(change(before))
    if after.name != before.name:
        _check_name_is_free(connection, after)
    connection.execute(update(users).where(users.c.id == before.id).values(_columns(after, now)))
    if after.profile.monthly_budget_micros != before.profile.monthly_budget_micros:
        forget_warnings(connection, before.id)
    return after


def deactivate_user(connection: Connection, user_id: str, now: datetime) -> None:
    """Cuts all their keys until they are activated again. Raises NotFound."""
    _set_status(connection, user_id, UserStatus.INACTIVE, now)


def activate_user(connection: Connection, user_id: str, now: datetime) -> None:
    """Raises NotFound, also for a deleted user: deleting is final."""
    _set_status(connection, user_id, UserStatus.ACTIVE, now)


def delete_user(connection: Connection, user_id: str, now: datetime) -> None:
    """For good: their keys are revoked, the sealed secrets of their Bedrock keys gone. The row stays, for the ledger's sake.

    Raises NotFound.
    """
    _set_status(connection, user_id, UserStatus.DELETED, now)
    theirs = update(access_keys).where(access_keys.c.user_id == user_id, access_keys.c.revoked_at.is_(None))
    connection.execute(theirs.values(revoked_at=now, updated_at=now))
    attached = update(bedrock_keys).where(bedrock_keys.c.user_id == user_id, bedrock_keys.c.deleted_at.is_(None))
    connection.execute(attached.values(deleted_at=now, updated_at=now, sealed=b""))
    connection.execute(delete(claims).where(claims.c.user_id == user_id, claims.c.used_at.is_(None)))


def check_budget(micros: int | None) -> None:
    """Raises Invalid. None: no budget; 0: nothing may be spent."""
    if micros is not None and not 0 <= micros <= MOST_BUDGET_MICROS:
        raise Invalid("a monthly budget is 0 to 1,000,000,000 US dollars")


def _set_status(connection: Connection, user_id: str, status: UserStatus, now: datetime) -> None:
    bump(connection, "grants")
    query = update(users).where(users.c.id == user_id, users.c.status != UserStatus.DELETED)
    if connection.execute(query.values(status=status, updated_at=now)).rowcount == 0:
        raise NotFound(f"there is no user {user_id}")


def _checked(user: User) -> User:
    profile = user.profile
    if not 1 <= len(user.name) <= 200 or not user.name.isprintable() or user.name != user.name.strip():
        raise Invalid("a name has 1 to 200 printable characters")
    if profile.email and ("@" not in profile.email or " " in profile.email or not profile.email.isprintable()):
        raise Invalid("an e-mail address looks like name@example.com")
    if len(profile.email) > _MOST_EMAIL_CHARS or len(profile.note) > _MOST_NOTE_CHARS:
        raise Invalid(f"an e-mail address has at most {_MOST_EMAIL_CHARS} characters, a note {_MOST_NOTE_CHARS}")
    if not profile.note.replace("\n", "").isprintable():
        raise Invalid("a note has printable characters and line breaks")
    check_budget(profile.monthly_budget_micros)
    return user


def _check_name_is_free(connection: Connection, user: User) -> None:
    """A deleted user's name stays taken: two people of one name in the ledger could not be told apart."""
    row = connection.execute(select(users.c.status).where(users.c.name == user.name, users.c.id != user.id)).first()
    if row is None:
        return
    deleted = row.status == UserStatus.DELETED
    raise NameTaken(f"there {'was' if deleted else 'is'} a user named {user.name} already{', who is deleted' if deleted else ''}")


def _columns(user: User, now: datetime) -> dict[str, Any]:
    profile = user.profile
    more = {"email": profile.email, "note": profile.note, "monthly_budget_micros": profile.monthly_budget_micros}
    return {"name": user.name, "strategy": Strategy(user.strategy), "updated_at": now, **more}


def user_of(row: Row[Any]) -> User:
    profile = Profile(row.email, row.note, row.monthly_budget_micros)
    return User(row.id, row.name, Strategy(row.strategy), UserStatus(row.status), profile, row.created_at)
