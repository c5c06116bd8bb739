"""Commands about the ledger: `ledger import`, `ledger verify`, `usage export`, `purge`.

Knows `core` and argparse; what a command needs of the world comes with the `Desk`. A command returns what it found: for
programs, for people, and the exit code; `usage export` writes its CSV as it reads it. Invariant: memory is bounded, whatever
the ledger or the log file holds; times on the command line are UTC unless they say otherwise.
"""

from __future__ import annotations

import csv
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from admin_app import cli_sessions
from admin_app.cli_desk import Answer, Desk, Words
from admin_app.cli_values import moment
from admin_app.exports import plain_cell
from core.access import Refused
from core.db import take_time
from core.kept import REQUESTS, all_kept
from core.ledger import SUMMED
from core.ledger_check import MOST_SHOWN, Verdict, Waiting, compare, ids_in_spools, look_into_spools
from core.ledger_import import Imported, import_lines
from core.log_check import Compared, Span, Sum, compare_with_log
from core.log_group import LogUnavailable, request_lines
from core.numerals import count, many
from core.retention import purge
from core.usage_report import BUCKETS, GROUPS, UsageLine, buckets, hours_used, usage_between

if TYPE_CHECKING:
    from sqlalchemy import Connection


_GROUP_OF = {"user": "user_id", "key": "access_key_id", "model": "model", "provider": "provider"}


def add_words(nouns: Words) -> Words:
    """The noun `ledger`, for whoever has another verb for it."""
    ledger = nouns.noun("ledger", "the books")
    bring = ledger.verb("import", _import, "rows from the log lines of requests; twice is as good as once")
    bring.add_argument("file", metavar="FILE", nargs="?", default="-", help="- or nothing: standard input")
    bring.add_argument("--log-group", metavar="GROUP", help="of CloudWatch Logs, instead of a file: needs --from and --to")
    _add_range(bring)
    verify = ledger.verb("verify", _verify, "compare rows, sums, spool and, with --log, a log; exit 1 if they differ")
    verify.add_argument("--log", metavar="FILE", help="also compare rows with the log lines of requests; - is standard input")
    _add_range(verify)
    usage = nouns.noun("usage", "sums")
    export = usage.verb("export", _export, "sums as CSV")
    _add_range(export)
    export.add_argument("--bucket", choices=BUCKETS, default="day")
    export.add_argument("--by", type=_groups, default=GROUPS, metavar="LIST", help="of user,key,model,provider (all)")
    export.add_argument("--timezone", type=_zone, default=ZoneInfo("UTC"), metavar="ZONE", help="where days begin (UTC)")
    cli_sessions.add_words(usage)
    purging = nouns.verb("purge", _purge, "delete what was kept long enough: request records, and all else that grows")
    purging.add_argument("--days", type=_days, metavar="DAYS", help="for request records, instead of PROXY_RETENTION_DAYS")
    return ledger


def _add_range(parser: ArgumentParser) -> None:
    parser.add_argument("--from", dest="since", type=moment, metavar="TIME", help="2026-01-31 or 2026-01-31T12:00")
    parser.add_argument("--to", dest="until", type=moment, metavar="TIME", help="the first moment that is not meant")


def _import(desk: Desk, arguments: Namespace) -> Answer:
    if arguments.log_group is not None and None in (arguments.since, arguments.until):
        raise Refused("--log-group needs --from and --to")
    desk.change(lambda doing: doing.note("ledger.import_begin", "ledger", {}, {"from": "a log"}))
    zone = ZoneInfo(desk.settings.budget_timezone)
    if arguments.log_group is not None:
        found = _from_log_group(desk, arguments, zone)
    else:
        with _log_lines(desk, arguments.file) as lines:
            found = import_lines(desk.database, lines, zone)
    written = {"written": found.written, "known": found.known, "bad": found.bad}
    desk.change(lambda doing: doing.note("ledger.import_end", "ledger", {}, written))
    return Answer(asdict(found), _told(found), 1 if found.bad else 0)


def _from_log_group(desk: Desk, arguments: Namespace, zone: ZoneInfo) -> Imported:
    """Raises Refused: what was imported until then stays, and once more is as good as once."""
    region = desk.outside.environ.get("AWS_REGION") or None
    try:
        lines = request_lines(arguments.log_group, region, arguments.since, arguments.until)
        return import_lines(desk.database, lines, zone)
    except LogUnavailable as error:
        raise Refused(str(error)) from error


@contextmanager
def _log_lines(desk: Desk, name: str) -> Iterator[Iterable[bytes]]:
    if name == "-":
        yield (line.encode("utf-8", "surrogateescape") for line in desk.outside.stdin)
        return
    with Path(name).open("rb") as file:
        yield file


def _told(found: Imported) -> str:
    lines = [
        f"{many(found.written, 'row')} written; known already: {count(found.known)}.",
        f"Skipped: {many(found.other, 'line')} of no request, {count(found.turned_away)} of requests that were nobody's, "
        f"{count(found.purged)} of hours whose records were purged.",
    ]
    if found.bad:
        lines.append(f"{many(found.bad, 'line')} could not be imported:")
        lines += [f"  {problem}" for problem in found.problems]
    return "\n".join(lines)


def _verify(desk: Desk, arguments: Namespace) -> Answer:
    _check_order(arguments.since, arguments.until)

    def work(connection: Connection) -> Verdict:
        take_time(connection)
        return compare(connection, arguments.since, arguments.until)

    verdict = desk.database.read(work)
    waiting = look_into_spools(desk.settings.spool_dir)
    in_log = _compared(desk, arguments)
    is_right = not (verdict.total or waiting.damaged or waiting.dead) and (in_log is None or in_log.is_right)
    differences = [asdict(each) | {"hour": each.hour.isoformat()} for each in verdict.differences]
    document = {
        "ok": is_right,
        "records": verdict.records,
        "checked_from": verdict.checked_from.isoformat() if verdict.checked_from else None,
        "different": verdict.total,
        "differences": differences,
        "spool": asdict(waiting),
        "log": asdict(in_log) if in_log else None,
    }
    told = "\n".join([_verdict_told(verdict, waiting), *(_log_told(in_log) if in_log else [])])
    return Answer(document, told, 0 if is_right else 1)


def _compared(desk: Desk, arguments: Namespace) -> Compared | None:
    if arguments.log is None:
        return None
    span, waiting = Span(arguments.since, arguments.until), partial(ids_in_spools, desk.settings.spool_dir)
    with _log_lines(desk, arguments.log) as lines:
        return compare_with_log(desk.database, lines, span, waiting)


def _log_told(found: Compared) -> list[str]:
    lines = [f"Log: the same in the ledger: {many(found.matched, 'request')}."]
    lines += _sum_told("in the log, but not in the ledger", found.only_in_log)
    lines += _sum_told("in the ledger, but not in the log", found.only_in_ledger)
    lines += _sum_told("with other figures (ledger less log)", found.differing)
    lines.append(
        f"Left out: {found.waiting} that wait in a spool, {found.worker_lost} whose worker was killed, {found.purged} of hours "
        f"whose records were purged, {found.outside} outside of the span, {found.turned_away} that were nobody's."
    )
    if found.bad:
        lines += [f"{many(found.bad, 'line')} could not be read:", *(f"  {problem}" for problem in found.problems)]
    return lines


def _sum_told(what: str, lacking: Sum) -> list[str]:
    if not lacking.requests:
        return []
    amounts = ", ".join(f"{name} {value:+d}" for name, value in lacking.amounts.items())
    more = ["  ..."] if lacking.requests > len(lacking.shown) else []
    return [
        f"{many(lacking.requests, 'request')} {what}: {amounts or 'no tokens'}",
        *(f"  {each}" for each in lacking.shown),
        *more,
    ]


def _verdict_told(verdict: Verdict, waiting: Waiting) -> str:
    since = f" from {verdict.checked_from:%Y-%m-%d %H:%M} UTC on" if verdict.checked_from else ""
    lines = [f"{many(verdict.records, 'record')} compared with their sums{since}: {many(verdict.total, 'difference')}."]
    for each in verdict.differences:
        off_by = ", ".join(f"{name} {value:+d}" for name, value in each.off_by.items())
        where = f"{each.access_key_id} {each.provider or 'nobody'} {each.model}"
        lines.append(f"  {each.hour:%Y-%m-%d %H}h {where}: records less sums: {off_by}")
    if verdict.total > MOST_SHOWN:
        lines.append(f"  ... and {verdict.total - MOST_SHOWN} more")
    spools = f"{many(waiting.records, 'record')} in {many(waiting.spools, 'file')}"
    lines.append(f"Spool: waiting: {spools}; {many(waiting.damaged, 'damaged line')}.")
    if waiting.dead:
        lines.append(
            f'Set aside in dead-letters.jsonl: {many(waiting.dead, "record")}; docs/operations.md, "Set aside", says what to do.'
        )
    return "\n".join(lines)


def _export(desk: Desk, arguments: Namespace) -> Answer | int:
    until = arguments.until or desk.now()
    since = arguments.since or until.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    _check_order(since, until)
    lines = _usage_lines(desk, arguments, since, until)
    if arguments.json:
        return Answer([*lines], "")
    writer = csv.DictWriter(desk.outside.stdout, ["begin", *arguments.by, *SUMMED], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: plain_cell(value) for name, value in line.items()} for line in lines)
    return 0


def _usage_lines(desk: Desk, arguments: Namespace, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    """A bucket at a time; nothing is held open while a line is being written."""
    used = desk.database.read(hours_used)
    for begin, end in buckets(since, until, arguments.bucket, arguments.timezone) if used else ():
        for line in _read_bucket(desk, begin, end, arguments.by) if used and begin <= used[1] and end > used[0] else ():
            local = begin.astimezone(arguments.timezone).isoformat()
            yield {"begin": local, **dict(zip(arguments.by, line.group, strict=True)), **line.sums}


def _read_bucket(desk: Desk, begin: datetime, end: datetime, groups: tuple[str, ...]) -> list[UsageLine]:
    def work(connection: Connection) -> list[UsageLine]:
        take_time(connection)
        return usage_between(connection, begin, end, groups)

    return desk.database.read(work)


def _purge(desk: Desk, arguments: Namespace) -> Answer:
    settings = replace(desk.settings, retention_days=arguments.days) if arguments.days else desk.settings
    every, kept_days = all_kept(settings), {"retention_days": settings.retention_days}
    desk.change(lambda doing: doing.note("ledger.purge_begin", "ledger", {}, kept_days))  # in pieces: none is all of it
    others = {kept.name: purge(desk.database, kept, desk.now(), time.sleep) for kept in every}
    purged = others.pop(REQUESTS)
    counts = {"requests": purged, **{name: rows for name, rows in others.items() if rows}}
    desk.change(lambda doing: doing.note("ledger.purge_end", "ledger", counts, {}))
    told = [f"Deleted {many(purged, 'request record')} older than {many(settings.retention_days, 'day')}."]
    told += [f"Deleted {many(rows, 'old row')} of {name}." for name, rows in others.items() if rows]
    return Answer({"purged": purged, "days": settings.retention_days, "others": others}, "\n".join(told))


def _check_order(since: datetime | None, until: datetime | None) -> None:
    """An empty span would be told as one in which all is well."""
    if since is not None and until is not None and since >= until:
        raise Refused("--from must be before --to")


def _groups(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, text.split(","))))
    if not set(names) <= set(_GROUP_OF):
        raise ArgumentTypeError(f"must be of {','.join(_GROUP_OF)}")
    return tuple(_GROUP_OF[name] for name in names)


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise ArgumentTypeError("must be a time zone like Europe/Berlin") from None


def _days(text: str) -> int:
    days = int(text) if text.isdecimal() else 0
    if not 1 <= days <= 36_500:
        raise ArgumentTypeError("must be a whole number of days above 0")
    return days
