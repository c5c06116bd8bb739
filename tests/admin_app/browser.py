"""A browser, as far as the admin needs one: keeps cookies, sends forms with the hidden fields they came with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from falcon.testing import Result, TestClient

_FIELD = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass
class Browser:
    app: Callable[..., Iterable[bytes]]
    address: str = "203.0.113.9"
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""

    def get(self, path: str = "/admin") -> Result:
        return self._answered(self.send("GET", path))

    def post(self, path: str, **fields: str) -> Result:
        body = urlencode({"csrf_token": self.token, **fields})
        return self._answered(self.send("POST", path, body, {"content-type": "application/x-www-form-urlencoded"}))

    def sign_in(self, username: str, password: str) -> Result:
        self.get("/admin/login")
        return self.post("/admin/login", username=username, password=password)

    def send(self, method: str, path: str, body: str | None = None, extra: dict[str, str] | None = None) -> Result:
        cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        headers = {**self.headers, **cookie, **(extra or {})}
        client: Any = TestClient(self.app)  # type: ignore[arg-type]
        return client.simulate_request(method, path, body=body, headers=headers, remote_addr=self.address)

    def _answered(self, answer: Result) -> Result:
        for name, cookie in answer.cookies.items():
            self.cookies.pop(name, None)
            if cookie.value:
                self.cookies[name] = cookie.value
        found = _FIELD.search(answer.text)
        self.token = found[1] if found else self.token
        return answer
