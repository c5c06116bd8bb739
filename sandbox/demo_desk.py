"""An admin of the demo at work: over the API as a program, and in the pages as a browser, with a second factor of their own.

Knows addresses and what is sent to them, nothing of the product's inside. Invariant: whatever the product refuses ends the demo
with its words; nothing is tried twice.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from typing import Any

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_SEALED = re.compile(r'name="secret" value="([0-9a-f]+)"')
_SECRET = re.compile(r"<code>([A-Z2-7 ]{16,})</code>")


class NotDone(Exception):
    """The product refused. The text is what it said."""


class Desk:
    """One admin, by name and password."""

    def __init__(self, url: str, username: str, password: str, browser: str = "") -> None:
        self._url = url
        self._username = username
        self._password = password
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        opener.addheaders = [("User-Agent", browser or "claude-code-proxy-demo")]
        self._browser = opener
        self._bearer = ""

    def do(self, method: str, path: str, **fields: Any) -> Any:
        """One operation of the API, as JSON; signs in for a token at the first."""
        if not self._bearer:
            signed_in = self._asked("POST", "/token", {"username": self._username, "password": self._password})
            self._bearer = str(signed_in["access_token"])
        return self._asked(method, path, fields if method in ("POST", "PATCH") else None)

    def sign_in(self) -> None:
        """Into the pages, as people do."""
        self._sent("/admin/login", "/admin/login", username=self._username, password=self._password)

    def turn_on_second_factor(self) -> None:
        """With the app's part played: the code of this half minute."""
        page = self._page("/admin/account/totp")
        secret, sealed = _SECRET.search(page), _SEALED.search(page)
        if secret is None or sealed is None:
            raise NotDone("the page of the second factor shows no key")
        code = code_of(secret[1].replace(" ", ""), time.time())
        self._posted("/admin/account/totp", page, secret=sealed[1], totp=code)

    def press(self, path: str) -> str:
        """A page's button without more fields, such as a one-time link's; the page that follows."""
        return self._read(urllib.request.Request(self._url + path, b"", method="POST"))

    def _sent(self, shown_at: str, sent_to: str, **fields: str) -> str:
        return self._posted(sent_to, self._page(shown_at), **fields)

    def _page(self, path: str) -> str:
        return self._read(urllib.request.Request(self._url + path))

    def _posted(self, path: str, page: str, **fields: str) -> str:
        found = _TOKEN.search(page)
        form = urllib.parse.urlencode({"csrf_token": found[1] if found else "", "next": "/admin", **fields})
        return self._read(urllib.request.Request(self._url + path, form.encode(), {"Origin": self._url}))

    def _read(self, request: urllib.request.Request) -> str:
        try:
            with self._browser.open(request, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise NotDone(f"{request.full_url}: {error.code}") from error

    def _asked(self, method: str, path: str, fields: dict[str, Any] | None) -> Any:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._bearer}"} if self._bearer else {})
        content = None if fields is None else json.dumps(fields).encode()
        request = urllib.request.Request(f"{self._url}/admin/api/v1{path}", content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise NotDone(f"{method} {path}: {error.code} {error.read().decode()}") from error


def code_of(secret: str, now: float) -> str:
    """Six digits by RFC 6238, as an authenticator app shows them."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(now) // 30), "sha1")
    offset = digest[-1] & 15
    return f"{(struct.unpack_from('>I', digest, offset)[0] & 0x7FFFFFFF) % 1_000_000:06d}"
