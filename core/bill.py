"""Does the ledger have what Bedrock has counted? Compares both, a day, region and model at a time (SPEC section 9: every token).

Knows the ledger's rows and figures by day; who asked CloudWatch (`core/cloudwatch.py`) hands its sums in. CloudWatch cannot tell
Bedrock keys apart: a line has the keys that the ledger knows, and one sum to compare. Invariants: only whole UTC days whose
records are all still there are compared; what CloudWatch has and the ledger does not is a difference, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial

from sqlalchemy import Connection, func, select

from core.cloudwatch import METRICS, Sums, bedrock_sums
from core.db import Database, take_time
from core.models import bedrock_keys, requests
from core.retention import purged_through
from core.types import ProviderName

MOST_DRIFT = 0.02
# Less than so much is no drift, whatever the share: tests of keys are on Amazon's side only, and a request at midnight is in one
# day here and perhaps in the other there.
_SLACK_INVOCATIONS, _SLACK_TOKENS = 5, 2_000
_DAY = timedelta(days=1)

Figures = Mapping[str, int]
AskCloudWatch = Callable[[str, datetime, datetime, Collection[str]], Sums]


@dataclass(frozen=True, slots=True)
class Line:
    """A day of a model in a region: what the ledger has, of which keys, and what CloudWatch has."""

    day: date
    region: str
    model: str
    ledger: Figures
    cloudwatch: Figures
    keys: Mapping[str, Figures] = field(default_factory=dict)

    @property
    def drift(self) -> dict[str, float]:
        """By figure, CloudWatch less ledger, as a share of the greater. Only figures that differ."""
        shares = {name: _share(self.ledger[name], self.cloudwatch[name]) for name in METRICS}
        return {name: share for name, share in shares.items() if share}

    @property
    def drifted(self) -> dict[str, float]:
        """Of those, what is worth a warning."""
        return {
            name: share
            for name, share in self.drift.items()
            if abs(share) > MOST_DRIFT and abs(self.cloudwatch[name] - self.ledger[name]) > _slack(name)
        }


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Between the midnights `since` and `until`; `since` is later than was asked for where records were purged."""

    since: datetime
    until: datetime
    lines: list[Line]

    @property
    def drifted(self) -> list[Line]:
        return [line for line in self.lines if line.drifted]


def reconcile(database: Database, since: datetime, until: datetime, ask: AskCloudWatch = bedrock_sums) -> Reconciled:
    """Whole days: `since` goes back to its midnight, `until` on to the next. Raises DatabaseAway, MetricsUnavailable."""
    begin, end = _midnight(since), _midnight(until - timedelta(microseconds=1)) + _DAY
    begin = max(begin, database.read(_first_whole_day) or begin)
    ours: dict[tuple[date, str, str], dict[str, Figures]] = {}
    for offset in range(max(0, (end - begin).days)):
        ours |= database.read(partial(_ledger_of, day=begin + offset * _DAY))
    regions = {region for _, region, _ in ours if region} | set(database.read(_regions))
    theirs: dict[tuple[date, str, str], Figures] = {}
    for region in sorted(regions) if begin < end else ():
        models = {model for _, place, model in ours if place == region}
        for (day, model), figures in ask(region, begin, end, models).items():
            key = (day, region, _plain(model))
            theirs[key] = _added(theirs.get(key, _NOTHING), figures)
    return Reconciled(begin, end, list(_lines(ours, theirs)))


def last_whole_day(now: datetime) -> tuple[datetime, datetime]:
    today = _midnight(now)
    return today - _DAY, today


def _lines(
    ours: Mapping[tuple[date, str, str], dict[str, Figures]], theirs: Mapping[tuple[date, str, str], Figures]
) -> Iterator[Line]:
    for key in sorted({*ours, *theirs}):
        keys = ours.get(key, {})
        total: Figures = _NOTHING
        for figures in keys.values():
            total = _added(total, figures)
        yield Line(*key, total, theirs.get(key, _NOTHING), keys)


def _ledger_of(connection: Connection, day: datetime) -> dict[tuple[date, str, str], dict[str, Figures]]:
    take_time(connection)
    row = requests.c
    written = row.cache_write_5m_tokens + row.cache_write_1h_tokens
    figures = (row.input_tokens, row.output_tokens, row.cache_read_tokens, written)
    query = (
        select(row.bedrock_key_id, bedrock_keys.c.region, row.model_served, func.count(), *map(func.sum, figures))
        .select_from(requests.outerjoin(bedrock_keys, bedrock_keys.c.id == row.bedrock_key_id))
        .where(row.started_at >= day, row.started_at < day + _DAY)
        .where(row.provider == ProviderName.BEDROCK.value, row.endpoint == "messages")
        .group_by(row.bedrock_key_id, bedrock_keys.c.region, row.model_served)
    )
    found: dict[tuple[date, str, str], dict[str, Figures]] = {}
    for key_id, region, model, *amounts in connection.execute(query):
        keys = found.setdefault((day.date(), region or "", _plain(model)), {})
        keys[key_id] = _added(keys.get(key_id, _NOTHING), dict(zip(METRICS, map(int, amounts), strict=True)))
    return found


def _regions(connection: Connection) -> list[str]:
    in_use = bedrock_keys.c.deleted_at.is_(None)
    return list(connection.execute(select(bedrock_keys.c.region).where(in_use).distinct()).scalars())


def _first_whole_day(connection: Connection) -> datetime | None:
    through = purged_through(connection)
    return None if through is None else _midnight(through - timedelta(microseconds=1)) + _DAY


def _plain(model: str) -> str:
    """CloudWatch names an inference profile by its id, where requests may have had its ARN."""
    return model.rpartition("/")[2]


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _share(ours: int, theirs: int) -> float:
    return round((theirs - ours) / max(ours, theirs, 1), 6)


def _slack(name: str) -> int:
    return _SLACK_INVOCATIONS if name == "invocations" else _SLACK_TOKENS


def _added(one: Figures, other: Figures) -> Figures:
    return {name: one[name] + other[name] for name in METRICS}


_NOTHING: Figures = dict.fromkeys(METRICS, 0)
