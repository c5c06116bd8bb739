"""A door with a directory behind it, and whoever is seen there: what the tests of inbound requests begin with."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from core.types import Grant, Strategy
from proxy_app.call import Endpoint
from proxy_app.directory import Unknown
from proxy_app.errors import Refused
from proxy_app.hangup import LiveCalls
from proxy_app.inbound import Arrival, Inbound, Reading

LIMIT = 200_000
GRANT = Grant("usr_1", "key_1", Strategy.PLAN_FIRST)
KEY = "ak_" + "x" * 44


class Directory:
    """Knows one key."""

    error: type[Exception] = Unknown

    def grant_of(self, access_key: str) -> Grant:
        if access_key != KEY:
            raise self.error
        return GRANT


class Seen:
    """Who was seen, and with what addresses."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str, list[str]]] = []

    def note(self, access_key_id: str, peer: str, forwarded_for: Iterable[str]) -> None:
        self.noted.append((access_key_id, peer, list(forwarded_for)))


class Door:
    """An `Inbound` with hand-made clocks and a directory of one key."""

    def __init__(self) -> None:
        self.directory: Any = Directory()
        self.live = LiveCalls()
        self.seen: Any = Seen()
        self.now = 100.0
        clocks = (lambda: self.now, lambda: 1_800_000_000.0)
        self.inbound = Inbound(
            self.directory, self.live, Reading(LIMIT, 60.0, 240.0), lambda now: f"req_{now:.0f}", clocks, self.seen
        )

    def arrival(
        self, raw: str = f"/ak/{KEY}/v1/messages", headers: list[tuple[str, str]] | None = None, **environ: Any
    ) -> Arrival:
        given: Mapping[str, Any] = {
            "REQUEST_METHOD": "POST",
            "RAW_URI": raw,
            "PATH_INFO": "/decoded",
            "proxy.headers": [("HOST", "a"), *(headers or [])],
            **environ,
        }
        return self.inbound.arrival(given)

    def read(self, body: Any, endpoint: Endpoint = Endpoint.MESSAGES, **environ: Any) -> Any:
        stream = io.BytesIO(body) if isinstance(body, bytes) else body
        arrival = self.arrival(**{"wsgi.input": stream, **environ})
        return self.inbound.call(arrival, GRANT, endpoint)

    def refusal(self, body: Any, **environ: Any) -> tuple[int, str, bool]:
        with pytest.raises(Refused) as caught:
            self.read(body, **environ)
        assert len(self.live) == 0
        return caught.value.status, caught.value.error_type, caught.value.close


@pytest.fixture
def door() -> Door:
    return Door()
