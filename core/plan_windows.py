"""A plan's limits as Anthropic's answers tell them: how much of each window is used, until when, and what is in the way.

Pure values and one reader of the `anthropic-ratelimit-unified-*` headers (facts on Bedrock 8.1; observed 2026-10). Knows
neither requests nor tables. Invariant: whatever an upstream sends, what comes out is small, printable and finite; a header
that is not understood is left out, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

PREFIX = "anthropic-ratelimit-unified-"
OVERAGE = "overage"
_WINDOW = re.compile(r"(?P<name>\d{1,3}[hd](?:_[a-z0-9]{1,12})?|overage)-(?P<field>status|reset|utilization)")
_WORD = re.compile(r"[a-z_]{1,40}")
_MOST_WINDOWS = 12
_LATEST_RESET = 32_503_680_000.0  # the year 3000


@dataclass(frozen=True, slots=True)
class PlanWindow:
    """One window (`5h`, `7d`, `7d_opus`, ...; `overage` is what is paid for beyond them).

    `utilization` is a share (1.0: used up; it may be above), `resets_at` unix seconds; None where the answer did not say.
    """

    name: str
    status: str = ""
    utilization: float | None = None
    resets_at: float | None = None


@dataclass(frozen=True, slots=True)
class PlanWindows:
    """What one answer said of the account behind an access key. `claim` names the window that decides (`five_hour`, ...).

    `status` is `allowed`, `allowed_warning` or `rejected`; `seen_at` unix seconds.
    """

    seen_at: float
    status: str
    claim: str = ""
    overage_in_use: bool = False
    windows: tuple[PlanWindow, ...] = ()

    def window(self, name: str) -> PlanWindow | None:
        return next((window for window in self.windows if window.name == name), None)

    def is_like(self, other: PlanWindows) -> bool:
        """Whether both say the same, whenever they said it."""
        mine = (self.status, self.claim, self.overage_in_use, self.windows)
        return mine == (other.status, other.claim, other.overage_in_use, other.windows)


def read_windows(headers: Iterable[tuple[str, str]], seen_at: float) -> PlanWindows | None:
    """`headers` with lower-case names. None when the answer says nothing of a plan (an API key, an older answer)."""
    said = {name[len(PREFIX) :]: value for name, value in headers if name.startswith(PREFIX)}
    status = _word(said.get("status", ""))
    if not status:
        return None
    fields: dict[str, dict[str, str]] = {}
    for name, value in said.items():
        found = _WINDOW.fullmatch(name)
        if found and (found["name"] in fields or len(fields) < _MOST_WINDOWS):
            fields.setdefault(found["name"], {})[found["field"]] = value
    windows = tuple(_window(name, fields[name]) for name in sorted(fields))
    in_use = said.get("overage-in-use") == "true"
    return PlanWindows(seen_at, status, _word(said.get("representative-claim", "")), in_use, windows)


def _window(name: str, said: dict[str, str]) -> PlanWindow:
    resets_at = _number(said.get("reset", ""), _LATEST_RESET)
    return PlanWindow(name, _word(said.get("status", "")), _number(said.get("utilization", ""), 1000.0), resets_at)


def _word(text: str) -> str:
    return text if _WORD.fullmatch(text) else ""


def _number(text: str, most: float) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and 0 <= number <= most else None
