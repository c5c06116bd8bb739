"""What this worker's memory knows of one access key: its plan's windows, who answers it now and why, what it may still spend.

Knows no HTTP, no page and no database. Invariants: never waits; nothing of another user is looked at: circuits are those of
this key, of the Bedrock keys in its grant, and of the worker as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.plan_windows import PlanWindows
from core.types import Grant, ProviderName, Strategy
from proxy_app.circuits import ALL_FAMILIES, Circuits, CircuitView, State
from proxy_app.faults import Fault
from proxy_app.plan_watch import PlanWatch
from proxy_app.spending import Spending


@dataclass(frozen=True, slots=True)
class Purse:
    """Micro-dollars of this month. `spent` holds what is reserved, and is None where memory does not know it; `budget` is None
    where there is none."""

    spent: int | None
    budget: int | None

    @property
    def is_empty(self) -> bool:
        return self.budget is not None and (self.spent or 0) >= self.budget


@dataclass(frozen=True, slots=True)
class Serving:
    """Who answers models of this family now ("*": all that are not named). `provider` is None where nobody does.

    `fault` is why it is not the usual one, `until` (unix seconds) how long at least; None where nobody knows.
    """

    family: str
    provider: ProviderName | None
    fault: Fault | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class OwnState:
    """`troubles` are the open circuits of the key's Bedrock keys."""

    windows: PlanWindows | None
    serving: tuple[Serving, ...]
    troubles: tuple[CircuitView, ...]
    of_user: Purse
    of_key: Purse

    @property
    def purses(self) -> tuple[Purse, Purse]:
        return self.of_user, self.of_key


class OwnStates:
    """One a worker."""

    def __init__(self, windows: PlanWatch, circuits: Circuits, spending: Spending) -> None:
        self._windows = windows
        self._circuits = circuits
        self._spending = spending

    def of(self, grant: Grant) -> OwnState:
        holders = {grant.access_key_id, *(key.id for key in grant.bedrock_keys)}
        views = self._circuits.views_of(holders)
        of_user = Purse(self._spending.spent_micros(grant.user_id), grant.user_budget_micros)
        of_key = Purse(self._spending.spent_micros(grant.user_id, grant.access_key_id), grant.key_budget_micros)
        return OwnState(
            windows=self._windows.latest(grant.access_key_id),
            serving=serving_of(grant, views, of_user.is_empty or of_key.is_empty),
            troubles=tuple(view for view in views if view.name.provider is ProviderName.BEDROCK),
            of_user=of_user,
            of_key=of_key,
        )


def serving_of(grant: Grant, views: Sequence[CircuitView], is_spent: bool) -> tuple[Serving, ...]:
    """By the rules of the gateway (SPEC section 4). Pure. The line for all other families is the last."""
    unpaid = Fault.BUDGET_SPENT if is_spent else None if grant.usable_bedrock_keys else Fault.BEDROCK_AUTH
    if grant.strategy is Strategy.BEDROCK_ONLY:
        return (Serving(ALL_FAMILIES, None if unpaid else ProviderName.BEDROCK, unpaid),)
    if grant.strategy is Strategy.PLAN_ONLY or not grant.usable_bedrock_keys:
        return (Serving(ALL_FAMILIES, ProviderName.PLAN),)
    of_plan = [view for view in views if view.name.provider is ProviderName.PLAN]
    wide = max((view for view in of_plan if view.name.family == ALL_FAMILIES), key=lambda view: view.until, default=None)
    narrow = [view for view in of_plan if view.name.family != ALL_FAMILIES and (wide is None or view.until > wide.until)]
    lines = [_instead(view, is_spent) for view in sorted(narrow, key=lambda view: view.name.family)]
    rest = Serving(ALL_FAMILIES, ProviderName.PLAN) if wide is None else _instead(wide, is_spent)
    return (*lines, rest)


def _instead(view: CircuitView, is_spent: bool) -> Serving:
    """The Plan's circuit is not closed. With the budget spent the Plan is asked all the same: its refusal is the answer."""
    until = view.until if view.state is State.OPEN else None
    if is_spent:
        return Serving(view.name.family, ProviderName.PLAN, Fault.BUDGET_SPENT, until)
    return Serving(view.name.family, ProviderName.BEDROCK, view.fault, until)
