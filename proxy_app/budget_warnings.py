"""The warnings that a budget is nearly used up, and that it is: a log line each, once in a month over all workers.

Knows what is used and of what, not where that comes from. Invariants: who warns has written down first that the warning is given;
only a budget that is in force is warned of; one that was changed is a new one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from core.budget import WARN_AT, percent_used
from core.db import Database
from core.spend_rows import DueWarning, first_warning

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """`access_key_id` is empty for the budget of a user."""

    month: str
    user_id: str
    access_key_id: str
    spent_micros: int
    budget_micros: int


class BudgetWarnings:
    """One a worker."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._given: set[tuple[BudgetUse, int]] = set()

    def heed(self, use: BudgetUse, now: datetime) -> None:
        """Warn if that is due. Raises DatabaseAway, and then warns the next time."""
        used = percent_used(use.spent_micros, use.budget_micros)
        of_budget = replace(use, spent_micros=0)
        for percent in WARN_AT:
            if used >= percent and (of_budget, percent) not in self._given:
                self._give(of_budget, percent, now)

    def _give(self, use: BudgetUse, percent: int, now: datetime) -> None:
        due = DueWarning(use.month, use.user_id, use.access_key_id, percent)
        is_first = self._database.run(lambda connection: first_warning(connection, due, use.budget_micros, now))
        if is_first is None:
            return  # this worker has not heard of the change
        self._given = {given for given in self._given if given[0].month == use.month} | {(use, percent)}
        if is_first:
            context = {"user_id": use.user_id, "access_key_id": use.access_key_id, "percent": percent, "month": use.month}
            log.warning("a Bedrock budget is used to %d %%", percent, extra={"context": context})
