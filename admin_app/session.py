"""Who is signed in, and that a form is ours: signed values in cookies (SPEC section 11).

Knows signing and time, no HTTP beyond a cookie's attributes. Invariants: a value is worth something only with the secret, the
user name and the password hash that signed it, so changing one of them signs everybody out, in every worker; a session
ends 24 hours after it began, whatever happens in between. There is nothing on the server's side: signing out takes the cookie
away from the browser.
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
_SKEW_S = 60  # another worker's clock may be ahead
_SIGNING = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in admin, or nobody yet who was given a form (`username` empty). `nonce` is what its form tokens hang on."""

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
    """Makes and reads the two cookies. `identity` is what a sign-in depends on: user name and password hash. `wall` is unix s."""

    def __init__(self, secret: str, identity: tuple[str, str], is_secure: bool, wall: Callable[[], float]) -> None:
        prefix = "__Host-" if is_secure else ""
        self.session_cookie = Cookie(f"{prefix}session", is_secure)
        self.form_cookie = Cookie(f"{prefix}login", is_secure)
        salt = hashlib.sha256("\0".join(identity).encode()).hexdigest()
        self._sessions = URLSafeSerializer(secret, salt=f"admin session {salt}", signer_kwargs=_SIGNING)
        self._forms = URLSafeSerializer(secret, salt="admin sign-in form", signer_kwargs=_SIGNING)
        self._tokens = URLSafeSerializer(secret, salt="admin form token", signer_kwargs=_SIGNING)
        self._wall = wall

    def begin(self, username: str) -> str:
        """The session cookie's value after a sign-in: always a new one."""
        return str(self._sessions.dumps(self._new(username)))

    def offer(self) -> tuple[Session, str]:
        """For somebody not signed in: what the sign-in form's token hangs on, and its cookie's value."""
        fields = self._new("")
        return Session(*fields), str(self._forms.dumps(fields))

    def signed_in(self, values: Iterable[str]) -> Session | None:
        """The first value that is a session of ours and not over. Others of that name may come from another app on this host."""
        return next(self._good(self._sessions, values, SESSION_S), None)

    def offered(self, values: Iterable[str]) -> Session | None:
        return next(self._good(self._forms, values, FORM_S), None)

    def form_token(self, session: Session) -> str:
        return str(self._tokens.dumps(session.nonce))

    def is_ours(self, session: Session | None, form_token: str) -> bool:
        """Whether a form with this token was made for this session."""
        return session is not None and hmac.compare_digest(form_token.encode(), self.form_token(session).encode())

    def _new(self, username: str) -> list[Any]:
        return [username, secrets.token_urlsafe(16), int(self._wall())]

    def _good(self, serializer: URLSafeSerializer, values: Iterable[str], lifetime_s: int) -> Iterator[Session]:
        now = self._wall()
        for value in values:
            try:
                session = Session(*serializer.loads(value))
            except (BadData, TypeError):  # the latter: signed by us, in another release's shape
                continue
            if -_SKEW_S <= now - session.began_at < lifetime_s:
                yield session
