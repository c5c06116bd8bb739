"""How a signed-in API token is written: a JWT, HS256 (SPEC section 11). The one door to PyJWT.

Knows no row: whether the session in it (`jti`) is good is core.admin_sessions'. Invariants: one algorithm, whatever a token
says of itself; a token without one of `exp`, `iat`, `aud`, `sub`, `jti` is none; a role is not in it, for that may change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import jwt
from jwt.types import Options

_ALGORITHM, _AUDIENCE = "HS256", "claude-code-proxy/admin"
_REQUIRED = ["exp", "iat", "aud", "sub", "jti"]


@dataclass(frozen=True, slots=True)
class Claims:
    admin_id: str
    session_id: str


def write_jwt(secret: str, claims: Claims, now: datetime, expires_at: datetime) -> str:
    """`secret` has at least 32 bytes; the settings see to it."""
    times = {"iat": int(now.timestamp()), "exp": int(expires_at.timestamp())}
    named = {"sub": claims.admin_id, "jti": claims.session_id, "aud": _AUDIENCE}
    return jwt.encode({**named, **times}, secret, algorithm=_ALGORITHM)


def read_jwt(secret: str, token: str, now: datetime) -> Claims | None:
    """None for everything that is not one of ours and good at this time. Expiry is measured with our clock, not PyJWT's."""
    own_clock: Options = {"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
    try:
        found = jwt.decode(token, secret, algorithms=[_ALGORITHM], audience=_AUDIENCE, options=own_clock)
        until, admin_id, session_id = float(found["exp"]), found["sub"], found["jti"]
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):  # the last: JSON nested a thousand deep
        return None
    return Claims(str(admin_id), str(session_id)) if now.timestamp() < until else None
