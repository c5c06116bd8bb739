"""The doctor's look at what an installation needs around it: the database, its workers, keys and circuits, and both upstreams.

Reads, and sends upstreams no credential. Invariant: what is away is said, never raised.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from admin_app.finding import Finding, place, problem, warning, well
from core.admins import owners_without_totp
from core.bedrock_key_list import BedrockFilter, BedrockLine, bedrock_lines
from core.db import Database, DatabaseAway, schema_is_current
from core.heartbeat import WorkerSeen, list_workers
from core.http import NotReached, Way, Why, certificate_end, look
from core.numerals import many
from core.reports import CircuitLine, open_circuits
from core.settings import Settings
from core.system_report import server_time
from core.types import KeyHealth

_SLOW_MS, _SKEW_S, _ASKED, _MOST_KEYS, _MOST_CIRCUITS = 50.0, 2.0, 5, 200, 10_000
_SKEW_OF_PLAN_S = 5.0  # its clock is told in whole seconds, and travels
_SOON, _AT_ONCE = timedelta(days=21), timedelta(days=3)
_MUCH_WAITS = 1000
_NTP = "Let this machine keep time by NTP: expiries, circuits and budgets' months depend on it."
_MEND = {
    Why.NAME: "Check the name, and that this machine may ask a DNS server.",
    Why.REFUSED: "Start what should listen there, or correct the address.",
    Why.TLS: "If something on the way opens TLS, its certificate must be trusted here; else check the address and the clock.",
    Why.TIMEOUT: "Check routes and firewalls: outgoing connections to port 443 must be let through.",
    Why.PROXY: "The proxy is used by nothing here; correct the address.",
    Why.OTHER: "Check the address, routes and firewalls.",
}


def look_at_database(database: Database, now: Callable[[], datetime]) -> Iterator[Finding]:
    try:
        is_current = schema_is_current(database)
    except DatabaseAway as away:
        mend = "Start it, or correct PROXY_DATABASE_URL (or _HOST and _SECRET). Known keys are served for 15 minutes."
        yield problem("database", f"cannot be reached ({away})", mend)
        return
    if not is_current:
        yield problem("database", "is reached, but not migrated", "python -m admin_app migrate")
        return
    took = [_asked_ms(database) for _ in range(_ASKED)]
    said = f"{database.dialect}, migrated, answers within {statistics.median(took):.1f} ms"
    slow = statistics.median(took) > _SLOW_MS
    mend = "Is it in another region, or overloaded? Every first request of a key waits for it."
    yield warning("database", said, mend) if slow else well("database", said)
    yield from _clock(database, now)
    yield from _workers(database.read(list_workers), now())
    yield from _keys(database.read(lambda c: bedrock_lines(c, BedrockFilter(), _MOST_KEYS)).lines, now())
    yield from _circuits(database.read(lambda c: open_circuits(c, now(), _MOST_CIRCUITS)).lines)


def look_at_owners(settings: Settings, database: Database) -> Iterator[Finding]:
    """Whether a password is all that stands before what owners may do."""
    try:
        bare = database.read(owners_without_totp)
    except Exception:  # away, or not migrated: said elsewhere
        return
    if not bare:
        yield well("second factor", "every owner has one, or there is no owner yet")
        return
    said = f"without one: {many(bare, 'active owner')}" + (", and can do nothing before" if settings.admin_require_totp else "")
    mend = "Sign in and set one up under Account; PROXY_ADMIN_REQUIRE_TOTP=true demands it of every admin."
    is_urgent = not (settings.is_local or settings.admin_require_totp)
    yield warning("second factor", said, mend) if is_urgent else well("second factor", said)


def look_at_upstreams(settings: Settings, regions: tuple[str, ...], now: Callable[[], datetime]) -> Iterator[Finding]:
    yield from _upstream("plan", settings.plan_url, "PROXY_PLAN_URL", now)
    for region in regions:
        yield from _upstream(f"bedrock {region}", settings.bedrock_url.replace("{region}", region), "PROXY_BEDROCK_URL", now)


def look_at_own_address(settings: Settings, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Only the certificate that developers meet: whether this machine may call its own front is no matter of theirs."""
    if not settings.public_url.startswith("https:"):
        return
    try:
        look(f"{settings.public_url}/health")
    except NotReached as error:
        if error.why == Why.TLS:
            yield problem("certificate", f"{place(settings.public_url)}: {error}", "Developers meet the same. " + _MEND[Why.TLS])
        return
    if ends := certificate_end(settings.public_url):
        yield certificate(settings.public_url, ends, now())


def regions_in_use(settings: Settings, database: Database) -> tuple[str, ...]:
    """Of keys that are attached; else the one that keys are added for."""
    try:
        lines = database.read(lambda c: bedrock_lines(c, BedrockFilter(), _MOST_KEYS)).lines
    except Exception:  # away, or not migrated: said elsewhere
        lines = ()
    return tuple(sorted({line.region for line in lines})) or (settings.bedrock_region,)


def _asked_ms(database: Database) -> float:
    began = time.monotonic()
    database.read(server_time)
    return (time.monotonic() - began) * 1000


def _clock(database: Database, now: Callable[[], datetime]) -> Iterator[Finding]:
    before = now()
    theirs = database.read(server_time)
    if theirs is None:
        return
    skew = min(abs((theirs - each).total_seconds()) for each in (before, now()))
    if skew > _SKEW_S:
        mend = "Let both keep time by NTP: expiries, circuits and budgets' months compare these clocks."
        yield problem("clock", f"this machine and the database are {skew:.0f} s apart", mend)
    else:
        yield well("clock", "the same as the database's")


def _workers(seen: list[WorkerSeen], now: datetime) -> Iterator[Finding]:
    alive = [each for each in seen if not each.is_silent(now)]
    for each in (one for one in seen if one.is_silent(now)):
        mend = "It was killed, or its machine is gone; the row goes within the hour. If that was not you, its log says more."
        yield warning("workers", f"{each.worker.id} on {each.worker.host} says nothing any more", mend)
    for each in alive:
        yield from _worker(each)
    if len(alive) == len(seen):
        yield well("workers", f"{len(alive)} serve" if alive else "none serves at this moment")


def _worker(seen: WorkerSeen) -> Iterator[Finding]:
    load, name = seen.load, f"{seen.worker.id} on {seen.worker.host}"
    if load.state != "ready":
        yield warning("workers", f"{name} is {load.state}", 'Its log says why; "draining" passes by itself.')
    if load.plan != "closed":
        mend = "See what is said of the plan here, and status.claude.com. Bedrock answers whoever has a key for it meanwhile."
        yield warning("workers", f"{name} finds the Plan away for everybody, and asks it now and then", mend)
    if load.waiting > _MUCH_WAITS:
        mend = "Is its database away, or slow? Nothing is lost while its disk has room."
        yield warning("workers", f"{name} holds {load.waiting:,} records that are not in the ledger yet", mend)
    if load.lost:
        mend = "Bring them in from its log: python -m admin_app ledger import FILE"
        yield problem("workers", f"{name} lost {load.lost:,} records: its disk and its memory were full", mend)


def _keys(lines: tuple[BedrockLine, ...], now: datetime) -> Iterator[Finding]:
    for each in lines:
        if each.health == KeyHealth.UNHEALTHY:
            mend = f"Make another at AWS and attach it, or test it again: python -m admin_app bedrock-key test {each.id}"
            yield problem("bedrock keys", f"{each.id} in {each.region} is refused by AWS, and not used", mend)
        elif said := each.warning(now):
            make = problem if each.expires_at is not None and each.expires_at <= now else warning
            mend = "Make another at AWS, attach it, and take this one out: python -m admin_app bedrock-key remove"
            yield make("bedrock keys", f"{each.id} in {each.region}: {said}", f"{mend} {each.id}")
    if not any(each.health == KeyHealth.UNHEALTHY or each.warning(now) for each in lines):
        yield well("bedrock keys", f"{len(lines)} attached, none is refused or about to end")


def _circuits(rows: Sequence[CircuitLine]) -> Iterator[Finding]:
    """One line a fault: hundreds of developers whose plans are used up are a usual afternoon, and no fault of anything here."""
    together: defaultdict[tuple[str, str], list[CircuitLine]] = defaultdict(list)
    for row in rows:
        together[row.provider, row.fault].append(row)
    for (provider, fault), found in sorted(together.items()):
        until = max((row.until for row in found if row.until is not None), default=None)
        holders = len({row.holder for row in found})
        said = f"{fault or 'unknown fault'}: {holders} {'access' if provider == 'plan' else 'Bedrock'} keys"
        said += f", until {until:%Y-%m-%d %H:%M} UTC at the latest" if until else ""
        if provider == "plan" and fault == "plan_exhausted":
            yield well("circuits", f"{said}; their plans are used up, which is as it should be")
        else:
            mend = "docs/errors.md says what this fault means; /admin/circuits has each, and closes it."
            yield warning("circuits", said, mend)
    if not rows:
        yield well("circuits", "none is open")


def _upstream(name: str, url: str, setting: str, now: Callable[[], datetime]) -> Iterator[Finding]:
    before = now()
    try:
        answer = look(url, Way(timeout_s=5.0))
    except NotReached as error:
        yield problem(name, f"{place(url)}: {error}", f"{_MEND[error.why]} The address is {setting}.")
        return
    if answer.status >= 500:
        yield warning(name, f"{place(url)} answers {answer.status}", "It may be having trouble; look again in a minute.")
    else:
        yield well(name, f"{place(url)} answers within {answer.took_ms:.0f} ms")
    if answer.date is not None:
        yield from _clock_of(name, answer.date, (before, now()))
    if ends := certificate_end(url):
        yield certificate(url, ends, now())


def _clock_of(name: str, theirs: datetime, around: tuple[datetime, datetime]) -> Iterator[Finding]:
    """Said only if it is wrong: each upstream is asked, and most installations also have a database's clock to go by."""
    skew = min(((each - theirs).total_seconds() for each in around), key=abs)
    if abs(skew) > _SKEW_OF_PLAN_S:
        yield problem("clock", f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {name}", _NTP)


def certificate(url: str, ends: datetime, now: datetime) -> Finding:
    """In what remains of it, whose ever it is: a front's of ours, an upstream's, or that of a firm's proxy which opens TLS."""
    left = ends - now
    said = f"that of {place(url)} ends on {ends:%Y-%m-%d}, in {left.days} days"
    if left > _SOON:
        return well("certificate", said)
    return (problem if left <= _AT_ONCE else warning)(
        "certificate", said, "Renew it, and find out why that was not done by itself."
    )
