"""The doctor's look at what an installation needs around it: the database, its workers and keys, and both upstreams.

Reads, and sends upstreams no credential. Invariant: what is away is said, never raised.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from admin_app.finding import Finding, place, problem, warning, well
from core.admins import owners_without_totp
from core.bedrock_key_list import BedrockFilter, BedrockLine, bedrock_lines
from core.db import Database, DatabaseAway, schema_is_current
from core.heartbeat import WorkerSeen, list_workers
from core.http import NotReached, Way, Why, look
from core.settings import Settings
from core.system_report import server_time
from core.types import KeyHealth

_SLOW_MS, _SKEW_S, _ASKED, _MOST_KEYS = 50.0, 2.0, 5, 200
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


def look_at_owners(settings: Settings, database: Database) -> Iterator[Finding]:
    """Whether a password is all that stands before what owners may do."""
    try:
        bare = database.read(owners_without_totp)
    except Exception:  # away, or not migrated: said elsewhere
        return
    if not bare:
        yield well("second factor", "every owner has one, or there is no owner yet")
        return
    said = f"{bare} active owners have none" + (", and can do nothing before" if settings.admin_require_totp else "")
    mend = "Sign in and set one up under Account; PROXY_ADMIN_REQUIRE_TOTP=true demands it of every admin."
    is_urgent = not (settings.is_local or settings.admin_require_totp)
    yield warning("second factor", said, mend) if is_urgent else well("second factor", said)


def look_at_upstreams(settings: Settings, regions: tuple[str, ...]) -> Iterator[Finding]:
    yield _upstream("plan", settings.plan_url, "PROXY_PLAN_URL")
    for region in regions:
        yield _upstream(f"bedrock {region}", settings.bedrock_url.replace("{region}", region), "PROXY_BEDROCK_URL")


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
    silent = [each for each in seen if each.is_silent(now)]
    alive = [each for each in seen if not each.is_silent(now)]
    for each in silent:
        mend = "It was killed, or its machine is gone; the row goes within the hour. If that was not you, its log says more."
        yield warning("workers", f"{each.worker.id} on {each.worker.host} says nothing any more", mend)
    for each in (one for one in alive if one.load.state != "ready" or one.load.plan != "closed" or one.load.lost):
        load = f"{each.load.state}, its plan circuit {each.load.plan}, {each.load.lost} records lost"
        said = f"{each.worker.id} on {each.worker.host} is {load}"
        yield warning("workers", said, "Its log says why (docs/operations.md, Lines worth an alarm).")
    if not silent:
        yield well("workers", f"{len(alive)} serve" if alive else "none serves at this moment")


def _keys(lines: tuple[BedrockLine, ...], now: datetime) -> Iterator[Finding]:
    for each in lines:
        if each.health == KeyHealth.UNHEALTHY:
            mend = f"Make another at AWS and attach it, or test it again: python -m admin_app bedrock-key test {each.id}"
            yield problem("bedrock keys", f"{each.id} in {each.region} is refused by AWS, and not used", mend)
        elif said := each.warning(now):
            yield warning("bedrock keys", f"{each.id} in {each.region}: {said}", "Make another at AWS and attach it before that.")
    if not any(each.health == KeyHealth.UNHEALTHY or each.warning(now) for each in lines):
        yield well("bedrock keys", f"{len(lines)} attached, none is refused or about to end")


def _upstream(name: str, url: str, setting: str) -> Finding:
    try:
        answer = look(url, Way(timeout_s=5.0))
    except NotReached as error:
        return problem(name, f"{place(url)}: {error}", f"{_MEND[error.why]} The address is {setting}.")
    if answer.status >= 500:
        return warning(name, f"{place(url)} answers {answer.status}", "It may be having trouble; look again in a minute.")
    return well(name, f"{place(url)} answers within {answer.took_ms:.0f} ms")
