"""Anthropic's rate-limit headers: those of a subscription's windows, and those of an API key.

Knows the names and values that clients read; refuses to know requests and answers. Pure: the time is given.
Invariant: an answer carries one family of headers, never both.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sandbox.script import Headers

UNIFIED = "anthropic-ratelimit-unified-"
OAUTH_PREFIX = "sk-ant-oat"
_USED = re.compile(r"-used-(\d{1,3})$")  # a token that says how full its plan is to be
WINDOWS = {"five_hour": "5h", "seven_day": "7d"}


def is_plan(credential: str) -> bool:
    """Whether this is a subscription's token."""
    return credential.startswith(OAUTH_PREFIX)


def allowed(credential: str, now: float) -> Headers:
    """What a served request carries."""
    if not is_plan(credential):
        return key_headers(now)
    used = _USED.search(credential)
    return plan_headers(now, f"{int(used[1]) / 100:.2f}") if used else plan_headers(now)


def plan_headers(now: float, used: str = "0.31") -> Headers:
    hour, week = str(int(now) + 9000), str(int(now) + 300_000)
    return _unified(
        ("status", "allowed"), ("reset", hour), ("representative-claim", "five_hour"), ("fallback-percentage", "0.5"),
        ("5h-status", "allowed"), ("5h-reset", hour), ("5h-utilization", used),
        ("7d-status", "allowed"), ("7d-reset", week), ("7d-utilization", "0.12"),
        ("overage-status", "rejected"), ("overage-disabled-reason", "org_level_disabled"),
    )  # fmt: skip


def rejected_headers(now: float, claim: str, reset_s: float) -> Headers:
    """A window that is used up. `claim`: five_hour, seven_day, a model's (seven_day_opus, ...) or none."""
    reset, later = str(int(now + reset_s)), str(int(now) + 300_000)
    full = WINDOWS.get(claim)
    pairs: list[tuple[str, str]] = [("status", "rejected"), ("reset", reset)]
    if claim != "none":
        pairs.append(("representative-claim", claim))
    pairs.append(("fallback-percentage", "0.5"))
    for window in ("5h", "7d"):
        spent = window == full
        pairs.append((f"{window}-status", "rejected" if spent else "allowed"))
        pairs.append((f"{window}-reset", reset if spent else later))
        pairs.append((f"{window}-utilization", "1.0" if spent else "0.42"))
        if spent:
            pairs.append((f"{window}-surpassed-threshold", "1.0"))
    pairs += [("overage-status", "rejected"), ("overage-disabled-reason", "org_level_disabled")]
    return _unified(*pairs)


def overage_headers(now: float) -> Headers:
    """A window that is used up while paid overage serves: the request is answered all the same."""
    kept = [pair for pair in rejected_headers(now, "five_hour", 3600) if "overage" not in pair[0]]
    reset = str(int(now) + 600_000)
    added = (("overage-status", "allowed"), ("overage-reset", reset), ("overage-in-use", "true"), ("overage-utilization", "0.2"))
    return (*kept, *_unified(*added))


def key_headers(now: float) -> Headers:
    reset = datetime.fromtimestamp(int(now) + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = (("requests", "4000", "3999"), ("input-tokens", "2000000", "1999000"), ("output-tokens", "400000", "399000"))
    return tuple(
        (f"anthropic-ratelimit-{name}-{part}", value)
        for name, limit, remaining in rows
        for part, value in (("limit", limit), ("remaining", remaining), ("reset", reset))
    )


def _unified(*pairs: tuple[str, str]) -> Headers:
    return tuple((f"{UNIFIED}{name}", value) for name, value in pairs)
