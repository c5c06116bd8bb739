"""The command `ledger reconcile`: the ledger beside Bedrock's own metrics, and exit 1 if they drift apart.

Knows `core/bill.py` and how to show it. Invariant: it says what CloudWatch cannot tell, every time.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from admin_app.cli_desk import Answer, Desk, Words
from admin_app.cli_values import moment
from core.access import Refused
from core.bill import MOST_DRIFT, Line, Reconciled, last_whole_day, reconcile
from core.cloudwatch import METRICS, MetricsUnavailable
from core.numerals import many

_LIMITS = (
    "CloudWatch tells regions and models apart, not Bedrock keys: the split by key is the ledger's alone. It sees one AWS "
    "account, that of these credentials, with everybody's use of Bedrock there. Tests of Bedrock keys are on its side only."
)


def add_words(ledger: Words) -> None:
    parser = ledger.verb("reconcile", _reconcile, "compare the ledger with Bedrock's own metrics; exit 1 over 2 % of drift")
    parser.add_argument("--from", dest="since", type=moment, metavar="TIME", help="its whole day, UTC (the last whole day)")
    parser.add_argument("--to", dest="until", type=moment, metavar="TIME", help="the first moment that is not meant")


def _reconcile(desk: Desk, arguments: Namespace) -> Answer:
    """Raises Refused when CloudWatch cannot be asked."""
    yesterday, today = last_whole_day(desk.now())
    until = arguments.until or today
    since = arguments.since or min(yesterday, until)
    if since >= until:
        raise Refused("--from must be before --to; the default is the last whole day (UTC)")
    try:
        found = reconcile(desk.database, since, until)
    except MetricsUnavailable as error:
        raise Refused(str(error)) from error
    return Answer(_document(found), "\n".join(_told(found)), 1 if found.drifted else 0)


def _document(found: Reconciled) -> dict[str, Any]:
    return {
        "ok": not found.drifted,
        "from": found.since.isoformat(),
        "to": found.until.isoformat(),
        "most_drift": MOST_DRIFT,
        "lines": [_line(line) for line in found.lines],
        "limits": _LIMITS,
    }


def _line(line: Line) -> dict[str, Any]:
    return {**asdict(line), "day": line.day.isoformat(), "drift": line.drift, "drifted": [*line.drifted]}


def _told(found: Reconciled) -> Iterator[str]:
    days = f"{found.since:%Y-%m-%d} to {found.until:%Y-%m-%d}, UTC"
    yield f"{days}: {many(len(found.lines), 'line')}; by over 2 % drift: {len(found.drifted)}."
    for line in found.lines:
        yield f"{line.day} {line.region or 'a key that is gone'} {line.model}"
        yield from _figures(line)
        for key_id, figures in line.keys.items() if len(line.keys) > 1 else ():
            yield f"  of which {key_id or 'no key'}: " + ", ".join(f"{name} {value}" for name, value in figures.items() if value)
    yield _LIMITS


def _figures(line: Line) -> Iterator[str]:
    for name in METRICS:
        share = line.drift.get(name, 0.0)
        mark = "  DRIFT" if name in line.drifted else ""
        yield f"  {name:<18} ledger {line.ledger[name]:>12}  Bedrock {line.cloudwatch[name]:>12}  {share:>+8.2%}{mark}"
