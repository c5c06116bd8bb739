"""Who does something in the administration: an admin, by what means, from where.

A value, without rules of its own but one: which role includes which. Knows no database and no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What an admin may do: look; change users, keys and prices; and manage admins and all else."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        ranks = tuple(Role)
        return ranks.index(self) >= ranks.index(other)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `via` is session, jwt, api_token or cli; `credential_id` the row of that session or token.

    `confirmed_at`: when the password was last given, None where none ever was (API tokens, the command line).
    """

    admin_id: str
    username: str
    role: Role
    via: str
    credential_id: str
    address: str
    confirmed_at: datetime | None = None
