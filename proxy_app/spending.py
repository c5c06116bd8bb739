"""Whether a request may still be paid for: budgets of users and keys, over all workers (SPEC section 9).

Knows what was spent, what is reserved and what a budget is; refuses to know upstreams and answers. Spent is what the ledger
says, plus what is over but not in the ledger yet, plus what is in flight (estimated), here and, as of the last tick, in the
other workers. Invariants: between the check and the reservation nothing else runs in this worker, so two requests cannot spend
the same rest; what is reserved is released exactly once; a record that the ledger took is counted here until the ledger was
read again, so that it is never in neither.

Fails closed within reason: with the database away a key that has a budget may spend an allowance, and no more; the tick finds
out when it is back, so that no request waits for a silent one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from core.budget import Month, dollars, month_name, month_of
from core.db import Database, DatabaseAway
from core.record import RequestRecord
from core.spend_rows import Owner, pending_elsewhere, spent_in, write_pending
from core.threads import TookTooLong, within
from core.types import Grant, ProviderName
from proxy_app.budget_warnings import BudgetUse, BudgetWarnings
from proxy_app.faults import Fault, UpstreamError
from proxy_app.likely_cost import LikelyCost
from proxy_app.unbooked import Unbooked

_ACTIVE_S = 600.0  # a user who asked for nothing in so long is read again when they do
_STALE_S = 10.0  # the tick refreshes every second; older than this, it does not reach the database
_MOST_USERS = 5000


@dataclass(frozen=True, slots=True)
class SpendingRules:
    """`away_allowance_micros`: what a key with a budget may spend while the database cannot be asked. `patience_s`: as long as
    a request waits for what its user has spent."""

    zone: ZoneInfo
    away_allowance_micros: int
    patience_s: float = 1.0


@dataclass(slots=True)
class Reservation:
    """Held while a paid request runs. `release` is idempotent."""

    owner: Owner
    micros: int
    _spending: Spending | None = field(default=None, repr=False)

    def release(self) -> None:
        spending, self._spending = self._spending, None
        if spending is not None:
            spending.let_go(self)


@dataclass(slots=True)
class _Account:
    """A user, as the ledger and the other workers say. `budgets` are the last seen, by user's or key's id."""

    month: Month
    read_at: float
    asked_at: float
    spent: dict[str, int] = field(default_factory=dict)
    elsewhere: dict[str, int] = field(default_factory=dict)
    budgets: dict[str, int] = field(default_factory=dict)

    def known(self, access_key_id: str | None) -> int:
        """Micro-dollars of one key, or of all."""
        if access_key_id is not None:
            return self.spent.get(access_key_id, 0) + self.elsewhere.get(access_key_id, 0)
        return sum(self.spent.values()) + sum(self.elsewhere.values())

    def turn(self, month: Month) -> None:
        """It has not been read for this one."""
        self.month, self.read_at = month, float("-inf")
        self.spent.clear()


class Spending:
    """One a worker. `clocks` are monotonic and unix seconds. Call `publish` and then `absorb` at every tick.

    A listener of the recorder, too: it hears what finished and what the ledger has taken.
    """

    def __init__(
        self,
        database: Database,
        worker_id: str,
        rules: SpendingRules,
        clocks: tuple[Callable[[], float], Callable[[], float]],
    ) -> None:
        self._database = database
        self._worker_id = worker_id
        self._rules = rules
        self._clock, self._wall = clocks
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._unbooked = Unbooked()
        self._likely = LikelyCost()
        self._warnings = BudgetWarnings(database)
        self._has_published = False
        self._away = False  # as the last who asked found

    def reserve(self, grant: Grant, estimate_micros: Callable[[], int]) -> Reservation:
        """Reserve what the request may cost; the caller releases it. May ask the database, once for a user who was quiet.

        Raises UpstreamError (`budget_spent`) when a budget has no room for it, with an answer for the client in its words.
        """
        owner = Owner(grant.user_id, grant.access_key_id)
        budgets = {grant.user_id: grant.user_budget_micros, grant.access_key_id: grant.key_budget_micros}
        limits = {holder: micros for holder, micros in budgets.items() if micros is not None}
        if not limits:
            return Reservation(owner, 0)
        account = self._account(grant.user_id)
        account.budgets.update(limits)
        micros = self._likely.of(grant.access_key_id, estimate_micros)
        for holder, budget in limits.items():
            self._check(account, owner, holder, budget, micros)
        self._unbooked.begin(owner, micros)
        return Reservation(owner, micros, self)

    def let_go(self, reservation: Reservation) -> None:
        self._unbooked.end(reservation.owner, reservation.micros)

    def spent_micros(self, user_id: str, access_key_id: str | None = None) -> int | None:
        """This month, in flight included; from memory. None for a user who asked for nothing lately."""
        account = self._accounts.get(user_id)
        return None if account is None else self._total(account, user_id, access_key_id)

    def finished(self, record: RequestRecord) -> None:
        if record.provider != ProviderName.BEDROCK:
            return
        self._likely.learn(record.access_key_id, record.cost_micros)
        owner = Owner(record.user_id, record.access_key_id)
        if record.cost_micros and (record.user_id in self._accounts or self._unbooked.is_in_flight(owner)):
            month = month_name(datetime.fromtimestamp(record.started_at, UTC), self._rules.zone)
            self._unbooked.over(record.request_id, owner, month, record.cost_micros)

    def flushed(self, records: Sequence[RequestRecord]) -> None:
        for record in records:
            self._unbooked.flushed(record.request_id)

    def recovered(self, records: Sequence[RequestRecord]) -> None:
        """They are in the ledger, whose sums every worker reads."""

    def publish(self) -> None:
        """Tell the other workers what is in flight here, and what is not in the ledger yet."""
        pending = self._unbooked.pending()
        if not pending and not self._has_published:
            return
        now = datetime.fromtimestamp(self._wall(), UTC)
        try:
            self._database.run(lambda connection: write_pending(connection, self._worker_id, pending, now))
            self._has_published = bool(pending)
        except DatabaseAway:
            self._away = True  # known at once: what is read next may be silent for as long again

    def absorb(self) -> None:
        """Read again what was spent and what the others have pending, of all users who asked lately."""
        horizon = self._clock() - _ACTIVE_S
        active = [user_id for user_id, account in self._accounts.items() if account.asked_at >= horizon]
        if not active:
            return  # whoever asks next is read then
        try:
            self._read(active)
        except DatabaseAway:
            self._away = True
            return
        # Not all but those: somebody may have asked for the first time while the ledger was read.
        for user_id in [user_id for user_id, account in self._accounts.items() if account.asked_at < horizon]:
            self._drop(user_id)
        with suppress(DatabaseAway):
            self._warn(active)

    def _account(self, user_id: str) -> _Account:
        now, month = self._clock(), self._month()
        account = self._accounts.get(user_id)
        if account is None:
            account = self._accounts[user_id] = _Account(month, float("-inf"), now)
            if len(self._accounts) > _MOST_USERS:
                self._drop(next(iter(self._accounts)))
        account.asked_at = now
        self._accounts.move_to_end(user_id)
        if account.month.name != month.name:
            account.turn(month)
        if now - account.read_at > _STALE_S and not self._away:
            self._catch_up(user_id)
        return account

    def _catch_up(self, user_id: str) -> None:
        """A silent database holds up those who ask before anybody knows, and for a moment; from then on the tick asks."""
        try:
            within(self._rules.patience_s, lambda: self._read([user_id]))
        except (DatabaseAway, TookTooLong):
            self._away = True

    def _drop(self, user_id: str) -> None:
        """What the ledger has of them is read when they come back."""
        del self._accounts[user_id]
        self._unbooked.forget(self._unbooked.flushed_of([user_id]))

    def _read(self, user_ids: Sequence[str]) -> None:
        """Raises DatabaseAway. What others have pending is read first: between the two it can only be counted twice."""
        month, now, began = self._month(), datetime.fromtimestamp(self._wall(), UTC), self._clock()
        in_ledger = self._unbooked.flushed_of(user_ids)
        elsewhere, spent = self._database.read(
            lambda connection: (
                pending_elsewhere(connection, self._worker_id, user_ids, now),
                spent_in(connection, month.name, user_ids),
            )
        )
        self._away = False
        for user_id in user_ids:
            account = self._accounts.get(user_id)
            if account is not None and account.read_at <= began:  # one that began later may have been quicker
                account.month, account.read_at = month, began
                account.elsewhere = _of_user(elsewhere, user_id)
                account.spent = _of_user(spent, user_id)
        self._unbooked.forget(in_ledger)

    def _check(self, account: _Account, owner: Owner, holder: str, budget: int, micros: int) -> None:
        access_key_id = None if holder == owner.user_id else owner.access_key_id
        total = self._total(account, owner.user_id, access_key_id)
        if total + micros > budget:
            whose = "of this access key" if access_key_id else "of its user"
            resets = account.month.ends.astimezone(self._rules.zone).strftime("%Y-%m-%d")
            state = "is used up" if total >= budget else "has no room for this request"
            raise _spent(
                f"the Bedrock budget {whose} {state}: {dollars(total)} of {dollars(budget)} spent or reserved this month; "
                f"it begins anew on {resets} ({self._rules.zone.key}). Ask your administrator to raise it"
            )
        if self._clock() - account.read_at > _STALE_S:
            since = self._unbooked.total(owner.user_id, owner.access_key_id, None)
            if since + micros > self._rules.away_allowance_micros:
                raise _spent("budgets cannot be looked up at the moment, and what may be spent meanwhile is; try again later")

    def _total(self, account: _Account, user_id: str, access_key_id: str | None) -> int:
        return account.known(access_key_id) + self._unbooked.total(user_id, access_key_id, account.month.name)

    def _warn(self, user_ids: Sequence[str]) -> None:
        """Raises DatabaseAway."""
        now = datetime.fromtimestamp(self._wall(), UTC)
        accounts = [(user_id, account) for user_id in user_ids if (account := self._accounts.get(user_id)) is not None]
        for user_id, account in accounts:
            for holder, budget in [*account.budgets.items()]:  # another key of theirs may ask meanwhile
                access_key_id = "" if holder == user_id else holder
                spent = self._total(account, user_id, access_key_id or None)
                self._warnings.heed(BudgetUse(account.month.name, user_id, access_key_id, spent, budget), now)

    def _month(self) -> Month:
        return month_of(datetime.fromtimestamp(self._wall(), UTC), self._rules.zone)


def _of_user(sums: Mapping[Owner, int], user_id: str) -> dict[str, int]:
    return {owner.access_key_id: micros for owner, micros in sums.items() if owner.user_id == user_id}


def _spent(message: str) -> UpstreamError:
    return UpstreamError(Fault.BUDGET_SPENT, message, wire=(402, "billing_error"))
