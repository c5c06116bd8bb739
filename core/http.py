"""One cold look at an address: does anything answer there, and what? The one door to requests.

For the doctor, not for traffic. Knows no product. Invariants: nothing is sent that was not handed in (no cookie, no login of a
`.netrc`, no proxy of the environment); no redirect is followed; of an answer at most `_MOST_BYTES` are read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_MOST_BYTES = 65_536


class Why(StrEnum):
    """Why nothing answered."""

    NAME = "name"
    REFUSED = "refused"
    TLS = "tls"
    TIMEOUT = "timeout"
    PROXY = "proxy"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    took_ms: float


@dataclass(frozen=True, slots=True)
class Way:
    """How to get there. `proxy` is an address to go through; `ca_file` whom to trust beside the usual ones."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 5.0
    proxy: str = field(default="", repr=False)
    ca_file: str = ""


class NotReached(Exception):
    """The text is for people, and holds neither address nor header: both may be secret."""

    def __init__(self, why: Why, text: str) -> None:
        super().__init__(text)
        self.why = why


def look(url: str, way: Way | None = None) -> Answer:
    """GET. Raises NotReached."""
    import requests

    way = way or Way()
    began = time.monotonic()
    try:
        with requests.Session() as session:
            session.trust_env = False
            options: dict[str, Any] = {"verify": way.ca_file or True, "allow_redirects": False, "stream": True}
            proxies = {"http": way.proxy, "https": way.proxy} if way.proxy else None
            with session.get(url, headers=dict(way.headers), timeout=way.timeout_s, proxies=proxies, **options) as answer:
                took_ms = (time.monotonic() - began) * 1000
                return Answer(answer.status_code, answer.raw.read(_MOST_BYTES, decode_content=True), took_ms)
    except (requests.RequestException, OSError, ValueError) as error:
        raise _not_reached(error) from None


def _not_reached(error: Exception) -> NotReached:
    import requests

    text = str(error)
    if isinstance(error, requests.exceptions.ProxyError):
        return NotReached(Why.PROXY, "the proxy on the way does not let it through")
    if isinstance(error, requests.exceptions.SSLError):
        return NotReached(Why.TLS, f"its certificate is not trusted, or TLS fails ({_certificate_problem(text)})")
    if isinstance(error, requests.exceptions.Timeout):
        return NotReached(Why.TIMEOUT, "nothing answered in time")
    if "NameResolutionError" in text or "Name or service not known" in text:
        return NotReached(Why.NAME, "its name cannot be resolved")
    if "Connection refused" in text:
        return NotReached(Why.REFUSED, "the connection is refused: nothing listens there")
    return NotReached(Why.OTHER, f"no connection ({type(error).__name__})")


def _certificate_problem(text: str) -> str:
    """In words of the library's that hold no address."""
    known = (
        "self-signed certificate",
        "unable to get local issuer",
        "certificate has expired",
        "doesn't match",
        "wrong version number",
    )
    return next((each for each in known if each in text), "TLS error")
