"""What admins do with one-time links: the declarations, and what each does through core (SPEC sections 8, 11).

Invariant: a link's address is in the answer of the operation that made it, and in no other; never in the audit log.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from admin_app.access_key_operations import NewKey, noted, options_of
from admin_app.cursors import after_of, listed
from admin_app.fields import Cursor, Id, Limit, Text, usd
from admin_app.operation import Doing, Listed, Nothing, Offer, Operation, Shape, Shown, asks, changes
from admin_app.secret_fields import SECRET
from core import claims
from core.actor import Role
from core.claims import OpenClaim
from core.types import Strategy
from core.users import find_user

CLAIMS = "/claim"  # what a link's address begins with


class LinkShown(Shown, frozen=True, kw_only=True):
    """A link that may be used still, without its address. What is said of a key is of the one that it will make."""

    id: str
    user_id: str
    user_name: str
    key_name: str
    key_strategy: Strategy | None
    key_monthly_budget_usd: Decimal | None
    key_requests_per_minute: int | None
    key_expires_at: datetime | None
    expires_at: datetime
    created_at: datetime


class NewLinkShown(LinkShown, frozen=True, kw_only=True):
    """`url` is told this once. Whoever opens it first, and presses the button there, gets the key."""

    url: Annotated[str, SECRET]

    def __repr__(self) -> str:
        return f"NewLinkShown(id={self.id!r})"


class NewLink(NewKey, frozen=True, kw_only=True):
    """What the key is to be like that the link stands for."""


class FindLinks(Shape, frozen=True, kw_only=True):
    """Those that may be used still; the newest first."""

    user_id: Text = ""
    limit: Limit = 50
    cursor: Cursor = ""


class TheLink(Shape, frozen=True, kw_only=True):
    claim_id: Id


def _find(doing: Doing, taken: FindLinks) -> Listed[LinkShown]:
    page = claims.open_claims(doing.connection, doing.now, taken.limit, taken.user_id, after_of(doing, taken))
    return listed(doing, taken, page, shown)


def _get(doing: Doing, taken: TheLink) -> LinkShown:
    return shown(claims.find_open_claim(doing.connection, taken.claim_id, doing.now))


def _open(doing: Doing, taken: NewLink) -> NewLinkShown:
    user, options = find_user(doing.connection, taken.user_id), options_of(taken)
    claim = claims.open_claim(doing.connection, user, options, doing.tools.server_secret, doing.now)
    doing.note("link.create", claim.id, {}, {"user_id": user.id, "good_until": claim.expires_at, **noted(options)})
    made = claims.find_open_claim(doing.connection, claim.id, doing.now)
    url = f"{doing.tools.settings.base_url}{CLAIMS}/{claim.token}"
    return NewLinkShown(**_facts(made), url=url)


def _withdraw(doing: Doing, taken: TheLink) -> Nothing:
    before = claims.find_open_claim(doing.connection, taken.claim_id, doing.now)
    claims.withdraw_claim(doing.connection, before.id)
    doing.note("link.withdraw", before.id, {"user_id": before.user_id, "good_until": before.expires_at}, {})
    return Nothing()


def shown(claim: OpenClaim) -> LinkShown:
    return LinkShown(**_facts(claim))


def _facts(claim: OpenClaim) -> dict[str, Any]:
    options = claim.options
    return {
        "id": claim.id,
        "user_id": claim.user_id,
        "user_name": claim.user_name,
        "key_name": options.name,
        "key_strategy": options.strategy,
        "key_monthly_budget_usd": usd(options.monthly_budget_micros),
        "key_requests_per_minute": options.requests_per_minute,
        "key_expires_at": options.expires_at,
        "expires_at": claim.expires_at,
        "created_at": claim.created_at,
    }


LIST = Operation("listLinks", "Find one-time links that are open", Role.VIEWER, FindLinks, Listed[LinkShown], asks(_find))
GET = Operation("getLink", "One open link", Role.VIEWER, TheLink, LinkShown, asks(_get))
OPEN = Operation("createLink", "Make a one-time link and tell it once", Role.EDITOR, NewLink, NewLinkShown, changes(_open))
WITHDRAW = Operation("withdrawLink", "End a link that is not used yet", Role.EDITOR, TheLink, Nothing, changes(_withdraw))

OFFERS = (
    Offer("GET", "/claims", LIST, tag="One-time links"),
    Offer("POST", "/claims", OPEN, 201, tag="One-time links"),
    Offer("GET", "/claims/{claim_id}", GET, tag="One-time links"),
    Offer("DELETE", "/claims/{claim_id}", WITHDRAW, 204, tag="One-time links"),
)
