"""What the API offers: one table of all nouns, and the tokens that it takes.

Knows declarations, no HTTP. A noun's operations are added here in one line.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from admin_app import (
    access_key_operations,
    audit_operations,
    bedrock_key_operations,
    circuit_operations,
    claim_operations,
    model_operations,
    price_operations,
    request_operations,
    system_operations,
    user_operations,
)
from admin_app.bearers import Bearers
from admin_app.operation import Nothing, Offer, Operation, Shape, Shown, Work
from admin_app.secret_fields import SECRET
from core.actor import Role

OFFERS = (
    *user_operations.OFFERS,
    *access_key_operations.OFFERS,
    *bedrock_key_operations.OFFERS,
    *claim_operations.OFFERS,
    *request_operations.OFFERS,
    *circuit_operations.OFFERS,
    *price_operations.OFFERS,
    *model_operations.OFFERS,
    *audit_operations.OFFERS,
    *system_operations.OFFERS,
)

_Login = Annotated[str, Meta(min_length=1, max_length=200, description="1 to 200 characters", examples=["admin"])]
_Password = Annotated[
    str, Meta(min_length=1, max_length=1024, description="1 to 1,024 characters", extra=SECRET.extra, examples=["<password>"])
]
_Code = Annotated[
    str, Meta(max_length=40, description="six digits, or a recovery code; where a second factor is set up", examples=[""])
]


class Login(Shape, frozen=True, kw_only=True):
    """Who signs in. `totp` only where a second factor is set up."""

    username: _Login
    password: _Password
    totp: _Code = ""


class Token(Shown, frozen=True, kw_only=True):
    """Send it as `Authorization: Bearer`. It ends at `expires_at`, or when it is revoked."""

    access_token: Annotated[str, SECRET]
    token_type: Literal["Bearer"]
    expires_at: datetime


class NoFields(Shape, frozen=True, kw_only=True):
    pass


def all_offers(bearers: Bearers) -> tuple[Offer, ...]:
    """Every noun's, and the tokens'. Without `bearers` at work the latter can be described all the same."""

    def sign_in(work: Work, taken: Login) -> Token:
        issued = bearers.sign_in(taken.username, taken.password, taken.totp, work.actor.address)
        return Token(access_token=issued.token, token_type="Bearer", expires_at=issued.expires_at)

    def revoke(work: Work, _: NoFields) -> Nothing:
        bearers.revoke(work.actor)
        return Nothing()

    issuing = Operation("createToken", "Sign in for a token", Role.VIEWER, Login, Token, sign_in)
    revoking = Operation("revokeToken", "End the token of this request", Role.VIEWER, NoFields, Nothing, revoke)
    return (
        Offer("POST", "/token", issuing, tag="Token", is_open=True),
        Offer("DELETE", "/token", revoking, 204, tag="Token"),
        *OFFERS,
    )
