"""What the admin's cookies hold, and that a form is ours: signed values (SPEC section 11).

Knows signing and time, no row and no HTTP beyond a cookie's attributes. Who is signed in is a row (core/admin_sessions.py); its
token is signed as well, so that guesses cost no query and a new secret signs everybody out. Invariant: a value is worth
something only for what it was signed for, with the secret that signed it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

SESSION_S = 24 * 3600
FORM_S = 2 * 3600
STAND_IN_S = 15 * 60
DEVICE_S = 30 * 86_400
_SKEW_S = 60  # another worker's clock may be ahead
_SIGNING = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Offer:
    """Nobody yet, who was given the sign-in form; or who stands in while the database is away. Form tokens hang on `nonce`."""

    username: str
    nonce: str
    began_at: int


@dataclass(frozen=True, slots=True)
class Cookie:
    """Production's names carry `__Host-`: browsers then insist on Secure, on no other host and on the whole path."""

    name: str
    is_secure: bool

    def setting(self, value: str, lifetime_s: int) -> str:
        """The field's value. Over plain http the cookie is kept to /admin, so that no request to the proxy carries it."""
        place = "Path=/; Secure" if self.is_secure else "Path=/admin"
        return f"{self.name}={value}; Max-Age={lifetime_s}; {place}; HttpOnly; SameSite=Strict"

    def removal(self) -> str:
        return self.setting("", 0)


class Sessions:
    """Makes and reads the cookies. `identity` is the managed owner's name and password hash, for the stand-in alone. `wall` is
    unix s."""

    def __init__(self, secret: str, identity: tuple[str, str], is_secure: bool, wall: Callable[[], float]) -> None:
        prefix = "__Host-" if is_secure else ""
        self.session_cookie = Cookie(f"{prefix}session", is_secure)
        self.form_cookie = Cookie(f"{prefix}login", is_secure)
        self.device_cookie = Cookie(f"{prefix}device", is_secure)
        owner = hashlib.sha256("\0".join(identity).encode()).hexdigest()
        self._secret = secret.encode()
        self._sessions = _signer(secret, "admin session token")
        self._forms = _signer(secret, "admin sign-in form")
        self._stand_ins = _signer(secret, f"admin stand-in {owner}")
        self._devices = _signer(secret, "admin device")
        self._tokens = _signer(secret, "admin form token")
        self._wall = wall

    def sealed(self, token: str) -> str:
        """The session cookie's value for a session's token."""
        return str(self._sessions.dumps(token))

    def tokens(self, values: Iterable[str]) -> Iterator[str]:
        """The tokens in values that are ours. Others of that name may come from another app on this host."""
        return (found for found in _loaded(self._sessions, values) if isinstance(found, str))

    def offer(self) -> tuple[Offer, str]:
        """For somebody not signed in: what the sign-in form's token hangs on, and its cookie's value."""
        return self._made(self._forms, "")

    def offered(self, values: Iterable[str]) -> Offer | None:
        return next(self._good(self._forms, values, FORM_S), None)

    def stand_in(self, username: str) -> str:
        """The session cookie's value for the owner, while the database is away."""
        return self._made(self._stand_ins, username)[1]

    def standing_in(self, values: Iterable[str]) -> Offer | None:
        return next(self._good(self._stand_ins, values, STAND_IN_S), None)

    def device(self, account: str, known: str = "") -> str:
        """A cookie's value for a browser that just signed in to this account; `known` is the device that it was already."""
        return str(self._devices.dumps([self._digest(account), known or secrets.token_urlsafe(12), int(self._wall())]))

    def device_of(self, values: Iterable[str], account: str) -> str:
        """Which device of this account sends these values; empty for one that has not signed in to it for thirty days."""
        for found in _loaded(self._devices, values):
            digest, device, began_at = found
            if hmac.compare_digest(digest, self._digest(account)) and self._wall() - began_at < DEVICE_S:
                return str(device)
        return ""

    def form_token(self, holder: str) -> str:
        """For the forms of a session (its id), of an offer (its nonce)."""
        return str(self._tokens.dumps(holder))

    def is_ours(self, holder: str, form_token: str) -> bool:
        """Whether a form with this token was made for this holder; for nobody ("") none was."""
        return holder != "" and hmac.compare_digest(form_token.encode(), self.form_token(holder).encode())

    def _digest(self, account: str) -> str:
        """Cookies hold no user names."""
        return hmac.digest(self._secret, b"device|" + account.encode(), "sha256").hex()[:32]

    def _made(self, serializer: URLSafeSerializer, username: str) -> tuple[Offer, str]:
        fields: list[Any] = [username, secrets.token_urlsafe(16), int(self._wall())]
        return Offer(*fields), str(serializer.dumps(fields))

    def _good(self, serializer: URLSafeSerializer, values: Iterable[str], lifetime_s: int) -> Iterator[Offer]:
        now = self._wall()
        for fields in _loaded(serializer, values):
            offer = Offer(*fields)
            if -_SKEW_S <= now - offer.began_at < lifetime_s:
                yield offer


def _signer(secret: str, salt: str) -> URLSafeSerializer:
    return URLSafeSerializer(secret, salt=salt, signer_kwargs=_SIGNING)


def _loaded(serializer: URLSafeSerializer, values: Iterable[str]) -> Iterator[Any]:
    for value in values:
        try:
            yield serializer.loads(value)
        except BadData:
            continue
