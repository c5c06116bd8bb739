"""Workers, a ledger and its clock: what the tests of budgets begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from core.access import Limits
from core.access_keys import KeyOptions, issue_key
from core.ledger import write_batch
from core.record import RequestRecord
from core.types import Grant, Strategy
from core.users import Profile, add_user, change_user
from proxy_app.faults import Fault, UpstreamError
from proxy_app.spending import Spending, SpendingRules
from tests.proxy_app.sharing_world import Fickle

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC).timestamp()
DOLLAR = 1_000_000
BERLIN = ZoneInfo("Europe/Berlin")
LIMITS = Limits(10, 10)


def grant(user: int | None = 10 * DOLLAR, key: int | None = None, key_id: str = "key_1") -> Grant:
    return Grant("usr_1", key_id, Strategy.PLAN_FIRST, user_budget_micros=user, key_budget_micros=key)


@dataclass
class World:
    database: Fickle
    now: float = NOON
    zone: ZoneInfo = BERLIN
    workers: int = 0
    requests: int = field(default=0)

    def worker(self) -> Spending:
        self.workers += 1
        rules = SpendingRules(self.zone, 2 * DOLLAR, patience_s=60)  # a real database on a busy machine is not away
        return Spending(self.database, f"wrk_{self.workers}", rules, (lambda: self.now, lambda: self.now))

    def record(self, micros: int, key_id: str = "key_1", at: float | None = None) -> RequestRecord:
        self.requests += 1
        began = self.now if at is None else at
        ids = (f"req_{self.requests}", began, "usr_1", key_id)
        return RequestRecord(*ids, provider="bedrock", model_asked="m", status=200, cost_micros=micros)

    def flush(self, *records: RequestRecord) -> None:
        self.database.run(lambda c: write_batch(c, records, self.zone))

    def spend(self, micros: int, **more: object) -> None:
        """By somebody, some time ago."""
        self.flush(self.record(micros, **more))  # type: ignore[arg-type]

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def customer(self, micros: int | None, key_micros: int | None = None) -> tuple[str, str]:
        """A user with a budget and a key with one: their ids."""
        return self.database.run(lambda c: self._customer(c, micros, key_micros))

    def _customer(self, connection: Connection, micros: int | None, key_micros: int | None) -> tuple[str, str]:
        profile, options = Profile(monthly_budget_micros=micros), KeyOptions(monthly_budget_micros=key_micros)
        user = add_user(connection, "Some One", Strategy.PLAN_FIRST, LIMITS, self.moment, profile)
        return user.id, issue_key(connection, user, "secret", LIMITS, self.moment, options).id

    def raise_budget(self, user_id: str, micros: int | None) -> None:
        profile = Profile(monthly_budget_micros=micros)
        self.database.run(lambda c: change_user(c, user_id, lambda user: replace(user, profile=profile), self.moment))

    def tick(self, *workers: Spending) -> None:
        self.now += 1
        for worker in workers:
            worker.publish()
        for worker in workers:
            worker.absorb()


def costs(micros: int) -> Callable[[], int]:
    return lambda: micros


def refusal(worker: Spending, who: Grant, micros: int) -> UpstreamError:
    with pytest.raises(UpstreamError) as refused:
        worker.reserve(who, costs(micros))
    assert refused.value.fault is Fault.BUDGET_SPENT
    return refused.value


def unasked() -> int:
    raise AssertionError("nobody needs to know")
