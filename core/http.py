"""One cold look at an address: what answers there, and how long is its certificate good? The one door to requests.

For the doctor, not for traffic. Knows no product. Invariants: nothing is sent that was not handed in (no cookie, no login of a
`.netrc`, no proxy of the environment); no redirect is followed; of an answer at most `_MOST_BYTES` are read.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

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
    """`date` is the clock of whoever answered, to the second; None if it does not tell."""

    status: int
    body: bytes
    took_ms: float
    date: datetime | None = None


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
                body = answer.raw.read(_MOST_BYTES, decode_content=True)
                return Answer(answer.status_code, body, took_ms, _date(answer.headers.get("date", "")))
    except (requests.RequestException, OSError, ValueError) as error:
        raise _not_reached(error) from None


def certificate_end(url: str, way: Way | None = None) -> datetime | None:
    """Until when the certificate shown there is good. None without TLS, and where none is shown that is trusted: see `look`."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    way, parts = way or Way(), urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return None
    context = ssl.create_default_context(cafile=way.ca_file or DEFAULT_CA_BUNDLE_PATH)
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), way.timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
        ):
            shown = secured.getpeercert() or {}
    except OSError:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def _date(text: str) -> datetime | None:
    try:
        told = parsedate_to_datetime(text)
    except ValueError:
        return None
    return told if told.tzinfo else None


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
