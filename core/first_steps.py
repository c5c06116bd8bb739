"""How far a new installation is: a user, a key, Bedrock behind it, a request. What the dashboard's checklist is made of.

One query on a Connection. Knows no page. Invariant: it costs the same whatever the tables hold, for each question ends with
the first row that answers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, exists, or_, select

from core.admins import is_owner_without_totp
from core.models import access_keys, bedrock_keys, requests, users
from core.types import KeyHealth, Strategy, UserStatus


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """`user_id` is the first user's, or empty. `wants_bedrock`: somebody's requests may go there.
    `has_second_factor`: every active owner has one; that is advised, and nothing waits for it."""

    user_id: str
    has_key: bool
    wants_bedrock: bool
    has_bedrock_key: bool
    has_good_bedrock_key: bool
    has_request: bool
    has_second_factor: bool

    @property
    def has_user(self) -> bool:
        return self.user_id != ""

    @property
    def is_bedrock_done(self) -> bool:
        return self.has_user and (self.has_good_bedrock_key or not self.wants_bedrock)

    @property
    def are_done(self) -> bool:
        return self.has_user and self.has_key and self.is_bedrock_done and self.has_request


def first_steps(connection: Connection) -> FirstSteps:
    row = connection.execute(_STEPS).one()
    return FirstSteps(row[0] or "", *map(bool, row[1:]))


def _steps() -> Select[Any]:
    there = users.c.status != UserStatus.DELETED
    first = select(users.c.id).where(there).order_by(users.c.id).limit(1).scalar_subquery()
    attached = bedrock_keys.c.deleted_at.is_(None)
    good = bedrock_keys.c.health.in_([KeyHealth.HEALTHY, KeyHealth.LIMITED])
    wants = exists().where(there, users.c.strategy != Strategy.PLAN_ONLY)
    wants_by_key = exists().where(access_keys.c.revoked_at.is_(None), access_keys.c.strategy != Strategy.PLAN_ONLY)
    return select(
        first,
        exists().where(access_keys.c.revoked_at.is_(None)),
        or_(wants, wants_by_key),
        exists().where(attached),
        exists().where(attached, good),
        exists().where(requests.c.endpoint == "messages"),
        ~exists().where(is_owner_without_totp()),
    )


_STEPS = _steps()  # put together once: that alone takes longer than the question
