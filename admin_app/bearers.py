"""Who calls the API: what it asks of whoever knows admins, tokens and sessions.

A contract, and its words. Knows no HTTP and no row. Invariant of who fulfils it: every reason why a sign-in is wrong is the
same, every reason why a token is not good the same None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from core.actor import Actor


@dataclass(frozen=True, slots=True)
class IssuedBearer:
    """The only time the token's text is told."""

    token: str = field(repr=False)
    expires_at: datetime


class Bearers(Protocol):
    """All of it may raise DatabaseAway."""

    def sign_in(self, username: str, password: str, totp: str, address: str) -> IssuedBearer:
        """A JWT for whoever is who they say. Raises admission's Wrong and TooMany, password_queue's Busy.

        No password is checked before the slow-down."""

    def authenticate(self, bearer: str, address: str) -> Actor | None:
        """Whom a JWT or an API token stands for."""

    def revoke(self, actor: Actor) -> None:
        """The JWT that `actor` came with is good no more, in any worker. Raises Refused for another credential."""
