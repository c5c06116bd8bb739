"""What the doctor found: one thing that was looked at, how it is, and how to mend it. A value. Invariant: no secret is in one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit


class Health(StrEnum):
    """`warning`: it works, and should be looked after. `problem`: something does not work."""

    WELL = "well"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend` says what to do; empty where all is well."""

    check: str
    health: Health
    says: str
    mend: str = ""


def well(check: str, says: str) -> Finding:
    return Finding(check, Health.WELL, says)


def warning(check: str, says: str, mend: str) -> Finding:
    return Finding(check, Health.WARNING, says, mend)


def problem(check: str, says: str, mend: str) -> Finding:
    return Finding(check, Health.PROBLEM, says, mend)


def place(url: str) -> str:
    """Scheme, host and port: an address may hold a key, or a password."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
