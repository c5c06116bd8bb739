"""The daily look whether the ledger has what Bedrock has counted, told in the log.

Knows what to say, not how it is found (`core/bill.py`). Invariant: never raises; one line for each day, region and model that
drifted, so many at most, and one in any case.
"""

from __future__ import annotations

import logging
from datetime import datetime
from itertools import islice

from core.bill import AskCloudWatch, Line, last_whole_day, reconcile
from core.cloudwatch import MetricsUnavailable, bedrock_sums
from core.db import Database, DatabaseAway

log = logging.getLogger(__name__)

_MOST_TOLD = 20


def check_bill(database: Database, now: datetime, ask: AskCloudWatch = bedrock_sums) -> None:
    """Of the last whole day (UTC). Blocks on the network."""
    try:
        found = reconcile(database, *last_whole_day(now), ask)
    except (MetricsUnavailable, DatabaseAway) as error:
        log.warning("the ledger could not be compared with Bedrock's metrics: %s", error)
        return
    except Exception:
        log.exception("the ledger could not be compared with Bedrock's metrics")
        return
    for line in islice(found.drifted, _MOST_TOLD):
        log.warning("the ledger and Bedrock's metrics differ", extra={"context": _told(line)})
    figures = {"day": found.since.date().isoformat(), "compared": len(found.lines), "differ": len(found.drifted)}
    log.info("the ledger was compared with Bedrock's metrics", extra={"context": figures})


def _told(line: Line) -> dict[str, object]:
    where = {"day": line.day.isoformat(), "region": line.region, "model": line.model}
    figures = {name: {"ledger": line.ledger[name], "bedrock": line.cloudwatch[name]} for name in line.drifted}
    return {**where, "drift_percent": {name: round(100 * share, 2) for name, share in line.drifted.items()}, "figures": figures}
