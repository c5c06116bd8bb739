"""How a setting's text becomes its value: one function a kind of value.

Pure. Each takes the text as it stands in the environment and raises ValueError with a sentence that says how it must be.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from core.model_ids import is_region

Network = IPv4Network | IPv6Network


def text(value: str) -> str:
    return value


def _number(value: str) -> float:
    """Not a number: 0, which nothing that asks here accepts."""
    try:
        return float(value)
    except ValueError:
        return 0.0


def _whole(value: str) -> int | None:
    try:
        return int(value)
    except ValueError:
        return None


def positive(value: str) -> float:
    number = _number(value)
    if not 0 < number < float("inf"):
        raise ValueError("must be a number above 0")
    return number


def dollars(value: str) -> Decimal:
    try:
        amount = Decimal(value)
    except ArithmeticError:
        raise ValueError("must be an amount in dollars") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError("must be an amount in dollars, 0 or more")
    return amount


def count(value: str) -> int:
    number = _whole(value)
    if number is None or number < 1:
        raise ValueError("must be a whole number above 0")
    return number


def cap(value: str) -> int:
    number = _whole(value)
    if number is None or number < 0 or 0 < number < 1024:
        raise ValueError("must be 0, or a whole number of at least 1024")
    return number


def region(value: str) -> str:
    if not is_region(value):
        raise ValueError("must be the name of an AWS region, for example us-east-1")
    return value


def environment(value: str) -> str:
    if value not in ("local", "production"):
        raise ValueError("must be local or production")
    return value


def flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def bind(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT, for example 127.0.0.1:8080")
    return value


def url(value: str) -> str:
    parts = urlsplit(value.replace("{region}", "region"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an http or https address without a query")
    return value.rstrip("/")


def database_url(value: str) -> str:
    kind, separator, _ = value.partition("://")
    if not separator or kind.partition("+")[0] not in ("sqlite", "postgresql", "postgres"):
        raise ValueError("must be postgresql://user@host/name or sqlite:///path")
    try:
        _ = urlsplit(value).port
    except ValueError:
        raise ValueError("must be postgresql://user@host:port/name, with a number for the port") from None
    return value


def database_login(value: str) -> str:
    """The text itself: where it was read must not get lost."""
    try:
        login = json.loads(value)
        usable = all(isinstance(login[name], str) and login[name] for name in ("username", "password"))
    except (ValueError, TypeError, KeyError):
        usable = False
    if not usable:
        raise ValueError('must be JSON {"username": ..., "password": ...}')
    return value


def level(value: str) -> str:
    if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise ValueError("must be DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return value.upper()


def switch(value: str) -> str:
    if value.lower() not in ("auto", "on", "off"):
        raise ValueError("must be auto, on or off")
    return value.lower()


def on_or_off(value: str) -> str:
    if value.lower() not in ("on", "off"):
        raise ValueError("must be on or off")
    return value.lower()


def namespace(value: str) -> str:
    """CloudWatch keeps names that begin with `AWS/` for itself."""
    if not re.fullmatch(r"[\w./#:-]{1,255}", value, re.ASCII) or value.startswith("AWS/"):
        raise ValueError("must be 1 to 255 of letters, digits and . - _ / # : and not begin with AWS/")
    return value


def password_hash(value: str) -> str:
    if "$2" not in value:
        raise ValueError("must be a bcrypt hash, which begins with $2b$")
    return value


def networks(value: str) -> tuple[Network, ...]:
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())


def timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be the name of a time zone, for example Europe/Berlin") from None
    return value
