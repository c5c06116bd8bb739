"""The one line that Claude Code shows below its prompt: the plan's windows while it serves, else who serves and until when.

Pure. Invariant: short, one line, printable ASCII but for the dots between its parts, whatever an upstream said.
"""

from __future__ import annotations

from datetime import UTC, datetime

from core.budget import dollars
from core.plan_windows import OVERAGE, PlanWindow, PlanWindows
from core.types import ProviderName
from proxy_app.circuits import ALL_FAMILIES
from proxy_app.own_state import OwnState, Purse, Serving

_BETWEEN = " · "
_MOST_FAMILIES = 3


def line_of(state: OwnState, now: float) -> str:
    """`now` is unix seconds; times in the line are UTC, with the day where it is another one."""
    *families, rest = state.serving
    parts = [_rest(rest, state.windows, now)]
    parts += [f"{each.family[:20]}: {_served(each, now)}" for each in families[:_MOST_FAMILIES]]
    pays = any(each.provider is ProviderName.BEDROCK or each.fault == "budget_spent" for each in state.serving)
    money = _money(state) if pays else ""
    return " ".join(filter(None, [_BETWEEN.join(parts), money]))


def current_windows(windows: PlanWindows | None, now: float) -> tuple[PlanWindow, ...]:
    """Those that still say something: a window whose reset has passed does not."""
    if windows is None:
        return ()
    return tuple(each for each in windows.windows if each.name != OVERAGE and (each.resets_at is None or each.resets_at > now))


def clock_time(unix_s: float, now: float) -> str:
    """`14:20 UTC`, or `11-30 14:20 UTC` on another day."""
    moment, today = datetime.fromtimestamp(unix_s, UTC), datetime.fromtimestamp(now, UTC)
    return moment.strftime("%H:%M UTC" if moment.date() == today.date() else "%m-%d %H:%M UTC")


def _rest(serving: Serving, windows: PlanWindows | None, now: float) -> str:
    if serving.provider is not ProviderName.PLAN or serving.fault is not None:
        return _served(serving, now)
    current = current_windows(windows, now)
    rejected = [each for each in current if each.status == "rejected" and "_" not in each.name]  # the account's, no model's
    used_up = [each.resets_at for each in rejected if each.resets_at is not None]
    if used_up and serving.family == ALL_FAMILIES:
        return f"Plan used up until {clock_time(max(used_up), now)}"
    shares = (f"{each.name.replace('_', ' ')} {each.utilization:.0%}" for each in current if each.utilization is not None)
    return " ".join(["Plan", *shares])


def _served(serving: Serving, now: float) -> str:
    if serving.provider is None:
        return "Bedrock budget spent" if serving.fault == "budget_spent" else "no working Bedrock key"
    name = "Bedrock" if serving.provider is ProviderName.BEDROCK else "Plan"
    until = f" until {clock_time(serving.until, now)}" if serving.until is not None else ""
    if serving.fault == "budget_spent":
        return f"{name} limited{until} (Bedrock budget spent)"
    return f"{name}{until}{f' ({in_words(serving.fault)})' if serving.fault else ''}"


def in_words(fault: str) -> str:
    return fault.replace("_", " ")


def _money(state: OwnState) -> str:
    """Of the budget that ends first."""
    limited = [purse for purse in state.purses if purse.budget is not None and purse.spent is not None]
    if not limited:
        return ""
    purse = min(limited, key=_left)
    return f"{_short(purse.spent or 0)} of {_short(purse.budget or 0)}"


def _left(purse: Purse) -> int:
    return (purse.budget or 0) - (purse.spent or 0)


def _short(micros: int) -> str:
    return dollars(micros).removesuffix(".00")
