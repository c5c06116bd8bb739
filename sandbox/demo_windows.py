"""A week in which the demo's developers used their plans, so that the charts of it are full.

No operation takes a plan's past, which comes with the plan's answers alone; so this writes the rows themselves, into the demo's
own SQLite file, and is the one place of the demo that knows a table. Invariant: only the past; what a plan says now is told by
its answers.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

_QUARTER = timedelta(minutes=15)
_QUARTERS = 7 * 96
_OF_WEEK = 0.12  # what the stand-in says of seven days, now
_INSERT = "INSERT OR IGNORE INTO plan_window_history (access_key_id, window, at, utilization) VALUES (?, ?, ?, ?)"


def write_past(database: Path, full_by_key: dict[str, int], now: datetime) -> None:
    """`full_by_key`: access key id -> per cent of five hours that its owner comes to on a good day."""
    rows = [row for key_id, full in sorted(full_by_key.items()) for row in _rows(key_id, full, now)]
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.executemany(_INSERT, rows)


def _rows(key_id: str, full: int, now: datetime) -> list[tuple[str, str, str, float]]:
    """Up during the hours of work, back to nothing with each reset; the week's share climbs all the while."""
    dice, rows, of_five, of_week = random.Random(full), [], 0.0, 0.0
    step = full / 100 / 16
    start = now.astimezone(UTC).replace(minute=now.minute // 15 * 15, second=0, microsecond=0, tzinfo=None)
    for quarter in range(_QUARTERS, 0, -1):
        at = start - _QUARTER * quarter
        if at.hour % 5 == 3 and at.minute == 0:
            of_five = 0.0
        if 8 <= at.hour < 19 and at.weekday() < 5:
            gained = step * dice.uniform(0.4, 1.5)
            of_five, of_week = min(of_five + gained, 1.0), of_week + gained
        rows += [(key_id, name, f"{at:%Y-%m-%d %H:%M:%S.%f}", share) for name, share in (("5h", of_five), ("7d", of_week))]
    most = of_week / _OF_WEEK or 1
    return [(key, name, at, share / most if name == "7d" else share) for key, name, at, share in rows]
