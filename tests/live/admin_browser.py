"""A browser on the running product: keeps cookies and the last form's token, follows nothing by itself."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

_FIELD = re.compile(r'name="csrf_token" value="([^"]+)"')


def eventually(claim: Callable[[], bool], within_s: float = 60.0) -> bool:
    deadline = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@dataclass(frozen=True)
class Page:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class LiveBrowser:
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""

    def get(self, path: str = "/admin") -> Page:
        return self._send("GET", path, None, {})

    def post(self, path: str, **fields: str) -> Page:
        body = urlencode({"csrf_token": self.token, **fields})
        return self._send("POST", path, body, {"content-type": "application/x-www-form-urlencoded"})

    def sign_in(self, username: str, password: str) -> Page:
        self.get("/admin/login")
        return self.post("/admin/login", username=username, password=password)

    def _send(self, method: str, path: str, body: str | None, extra: dict[str, str]) -> Page:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        try:
            connection.request(method, path, body, {**self.headers, **cookie, **extra})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        for value in answer.headers.get_all("set-cookie") or []:
            self._keep(value)
        found = _FIELD.search(text)
        self.token = found[1] if found else self.token
        return Page(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)

    def _keep(self, set_cookie: str) -> None:
        name, _, value = set_cookie.partition(";")[0].partition("=")
        self.cookies.pop(name, None)
        if value:
            self.cookies[name] = value
