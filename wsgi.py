"""The composition root: builds the whole system, top to bottom as the diagram in docs/architecture.md.

Imported by gunicorn and by the command line alone. Importing it does nothing; `create_app()` starts nothing, and asks only
the database, whether it belongs to these secrets.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

from admin_app.app import AdminApp, Surroundings
from admin_app.mount import mounted
from core.access import NotFound
from core.bedrock_keys import mark_bedrock_key_limited, mark_bedrock_key_unhealthy
from core.bill_watch import check_bill
from core.cache import Cache
from core.crypto import WatchedVault, open_vault
from core.db import Database, DatabaseAway, cooperate_with_gevent, open_database
from core.heartbeat import Heartbeat, Load, Worker
from core.housekeeping import Chore, Housekeeper
from core.ids import new_id, new_request_id
from core.kept import all_kept
from core.local_files import LocalSecrets
from core.log import AccessLog, configure_logging
from core.metric_counts import Counts
from core.metric_file import open_cells
from core.metrics import cell_names
from core.metrics_report import MetricsReporter, Outlet
from core.pages import Pages
from core.ports import BedrockProbe
from core.price_rows import prices_in_force
from core.pricing import load_prices
from core.revision import Tick
from core.secret_marks import secrets_of
from core.settings import Settings, load_settings
from core.spool import open_spool
from core.threads import Turns, spawn
from core.types import ProviderName
from core.version import VERSION
from proxy_app.app import ProxyApp
from proxy_app.bedrock.models import load_catalogue
from proxy_app.call import Endpoint
from proxy_app.circuit_rules import CircuitRules
from proxy_app.circuit_sharing import CircuitSharing
from proxy_app.circuits import WORKER_WIDE, Circuits, Transition
from proxy_app.directory import Directory, Known
from proxy_app.expiry_watch import ExpiryWatch
from proxy_app.gateway import Gateway
from proxy_app.hangup import LiveCalls
from proxy_app.http_pool import HttpPool
from proxy_app.inbound import Inbound, Reading
from proxy_app.last_seen import LastSeen
from proxy_app.lesson_book import LessonBook
from proxy_app.lesson_sharing import LessonSharing
from proxy_app.live_models import LiveModels
from proxy_app.metric_sources import Asked, metric_sources
from proxy_app.own_page import OwnFacts, OwnView
from proxy_app.own_state import OwnStates
from proxy_app.paid_attempt import PaidAttempt
from proxy_app.plan_watch import PlanWatch
from proxy_app.probe import InvokeProbe
from proxy_app.providers.bedrock import BedrockProvider
from proxy_app.providers.bedrock_attempt import Knowledge
from proxy_app.providers.bedrock_refusals import KeyTrouble
from proxy_app.providers.bedrock_wire import BedrockEndpoint, BedrockLimits
from proxy_app.providers.plan import PlanLimits, PlanProvider
from proxy_app.rate_limit import RateLimits
from proxy_app.readiness import Readiness
from proxy_app.recorder import Recorder
from proxy_app.resources import MetricsPage, Opener, Proxied, Ready
from proxy_app.service import Parts, Service
from proxy_app.side_calls import SideCalls
from proxy_app.spending import Spending, SpendingRules

log = logging.getLogger(__name__)

_GRANTS_CACHED = 20_000


def create_app(settings: Settings | None = None) -> Service:
    """The WSGI application of one worker. Raises BadSettings. Call `start()` in the worker before the first request."""
    settings = settings or load_settings()
    lines = configure_logging(settings.log_level)
    cooperate_with_gevent()
    database = open_database(settings, pool_size=settings.database_pool_size)
    local = secrets_of(settings, database)
    tick = Tick(database, settings.tick_s)
    worker_id = new_id("wrk")

    cells = open_cells(settings.metrics_dir, cell_names())
    counts = Counts(cells)

    grants = Cache[str, Known](_GRANTS_CACHED, time.monotonic)
    vault = WatchedVault(open_vault(settings, local), lambda: counts.add("KmsErrors"))
    directory = Directory(
        database, vault, local.server_secret, grants, (time.monotonic, time.time), (settings.grant_ttl_s, settings.grant_stale_s)
    )
    circuits = _circuits(settings, local)

    recorder = Recorder(open_spool(settings.spool_dir, worker_id), database, load_prices(), AccessLog(lines), settings)
    spending = Spending(database, worker_id, _spending_rules(settings), (time.monotonic, time.time))
    recorder.listen(spending)
    recorder.listen(counts)
    recorder.refusals.append(lambda: counts.add("TurnedAwayCount"))

    pool = HttpPool(settings.connect_timeout_s, time.monotonic).prepared()
    windows = PlanWatch(database, time.time)
    models = LiveModels(load_catalogue(), database)
    tick.listen(models.changed)
    lessons = LessonBook(time.time, settings.repair_days * 86_400.0)
    plan, bedrock, side_calls = _upstreams(settings, pool, circuits, database, Knowledge(models, lessons), windows)
    paid = PaidAttempt(spending, lambda: recorder.prices)
    gateway = Gateway((plan, bedrock), circuits, models.current(), time.monotonic, paid)

    live = LiveCalls()
    reading = Reading(settings.max_body_bytes, settings.body_timeout_s, settings.commit_timeout_s, Turns().take)
    last_seen = LastSeen(database, settings.trusted_proxies, time.time)
    inbound = Inbound(directory, live, reading, _request_id, (time.monotonic, time.time), last_seen)
    readiness = Readiness(lambda: tick.database_away_since)
    # Apart, so that a report cannot hold key look-ups up; admins wait for each other rather than being sent away.
    reports = open_database(settings, pool_size=1, patience_s=10.0)
    pages = Pages(VERSION).prepared()
    own = OwnView(OwnStates(windows, circuits, spending), reports, pages, _own_facts(settings))
    views = {"/status": own.status, "/statusline": own.status_line}
    outlet = Outlet(lines.write if settings.emits_emf else None, settings.emf_namespace, worker_id)
    asked = Asked(recorder, circuits, live, tick, lines, (database, reports))
    metrics = MetricsReporter(cells, counts, metric_sources(asked), outlet)
    proxied = Proxied(inbound, _openers(gateway, side_calls), recorder, time.monotonic, RateLimits(time.monotonic), views)
    page = MetricsPage(inbound, settings, partial(metrics.exposition, settings.metrics_dir))
    proxy = ProxyApp(proxied, Ready(readiness), _new_request_id, page)
    heartbeat = Heartbeat(database, _worker(worker_id), partial(_load, readiness, circuits, live, recorder))
    probe = build_bedrock_probe(settings, pool)
    regions = load_catalogue().known_regions()
    around = Surroundings(
        heartbeat.seen, _new_request_id, AccessLog(lines), vault, probe, known_models(), known_regions=regions, pages=pages
    )
    admin = AdminApp(settings, local, reports, around)

    parts = Parts(
        directory=directory,
        sharing=CircuitSharing(database, circuits, worker_id),
        learning=LessonSharing(database, lessons),
        windows=windows,
        spending=spending,
        recorder=recorder,
        live=live,
        pool=pool,
        tick=tick,
        database=database,
        readiness=readiness,
        heartbeat=heartbeat,
        housekeeper=Housekeeper(database, all_kept(settings), chores=_chores(settings, database)),
        reprice=lambda: recorder.use_prices(database.read(prices_in_force)),
        close_admin=admin.close,
        unreadable=proxy.unreadable,
        beside=(last_seen, ExpiryWatch(database), metrics, admin.owner),
    )
    return Service(mounted(admin, proxy), parts, settings.drain_s, settings.tick_s)


def build_bedrock_probe(settings: Settings, pool: HttpPool | None = None) -> BedrockProbe:
    """Tests a Bedrock key with a tiny request, for the command line and the admin."""
    endpoint = BedrockEndpoint(pool or HttpPool(settings.connect_timeout_s, time.monotonic), settings.bedrock_url)
    return InvokeProbe(endpoint, load_catalogue(), time.monotonic)


def known_models() -> frozenset[str]:
    """The shipped ones, for the command line and the admin."""
    return load_catalogue().known_models()


def _upstreams(
    settings: Settings, pool: HttpPool, circuits: Circuits, database: Database, known: Knowledge, windows: PlanWatch
) -> tuple[PlanProvider, BedrockProvider, SideCalls]:
    """Both providers over one pool, and what asks them beside messages."""
    plan = PlanProvider(pool, settings.plan_url, _plan_limits(settings), time.monotonic, windows.observe)
    endpoint = BedrockEndpoint(pool, settings.bedrock_url)
    bedrock = BedrockProvider(
        endpoint,
        known,
        circuits,
        _bedrock_limits(settings),
        (time.monotonic, time.time),
        partial(_report_key_trouble, database),
    )
    side_calls = SideCalls(
        plan, endpoint, known.models, time.monotonic, settings.count_tokens_timeout_s, settings.bedrock_count_region
    )
    return plan, bedrock, side_calls


def _chores(settings: Settings, database: Database) -> tuple[Chore, ...]:
    return (partial(check_bill, database),) if settings.bill_check == "on" else ()


def _circuits(settings: Settings, local: LocalSecrets) -> Circuits:
    return Circuits(
        clock=time.monotonic,
        wall=time.time,
        digest_key=local.server_secret.encode(),
        rules=CircuitRules.from_settings(settings),
        on_change=_log_transition,
    )


def _own_facts(settings: Settings) -> OwnFacts:
    return OwnFacts(settings.base_url, ZoneInfo(settings.budget_timezone), settings.is_local, time.monotonic, time.time)


def _openers(gateway: Gateway, side_calls: SideCalls) -> dict[Endpoint, Opener]:
    return {
        Endpoint.MESSAGES: gateway.open,
        Endpoint.COUNT_TOKENS: side_calls.count_tokens,
        Endpoint.MODELS: side_calls.models,
        Endpoint.PASSTHROUGH: side_calls.pass_through,
    }


def _worker(worker_id: str) -> Worker:
    return Worker(worker_id, socket.gethostname(), os.getpid(), datetime.now(UTC))


def _load(readiness: Readiness, circuits: Circuits, live: LiveCalls, recorder: Recorder) -> Load:
    """How this worker is, from memory."""
    books = recorder.books
    plan = circuits.describe(WORKER_WIDE.access_key_id, WORKER_WIDE.family)
    return Load(readiness.state().word, plan, len(live), books.records, books.lost + books.torn + books.dead)


def _plan_limits(settings: Settings) -> PlanLimits:
    return PlanLimits(
        first_byte_s=settings.first_byte_timeout_s,
        response_s=settings.response_timeout_s,
        silence_s=settings.silence_timeout_s,
        count_tokens_s=settings.count_tokens_timeout_s,
        patience_s=settings.plan_patience_s,
    )


def _spending_rules(settings: Settings) -> SpendingRules:
    return SpendingRules(ZoneInfo(settings.budget_timezone), int(settings.budget_away_allowance_usd * 1_000_000))


def _bedrock_limits(settings: Settings) -> BedrockLimits:
    return BedrockLimits(
        first_byte_s=settings.bedrock_first_byte_timeout_s,
        response_s=settings.response_timeout_s,
        silence_s=settings.silence_timeout_s,
        ping_s=settings.ping_interval_s,
        max_tokens=settings.bedrock_max_tokens,
    )


def _request_id(now_s: float) -> str:
    return new_request_id(now_s, os.urandom(10))


def _new_request_id() -> str:
    return _request_id(time.time())


def _log_transition(transition: Transition) -> None:
    """Operators see in the log what opened or closed, and why."""
    name, condition = transition.name, transition.condition
    holder = "access_key_id" if name.provider is ProviderName.PLAN else "bedrock_key_id"
    context = {holder: name.access_key_id, "provider": name.provider, "family": name.family}
    fault = condition.fault.value if condition.fault else ""
    log.warning("circuit %s", condition.state.value, extra={"context": {**context, "fault": fault, "until": condition.until}})


def _report_key_trouble(database: Database, trouble: KeyTrouble) -> None:
    """Tell the administrators, beside the request: it must not wait for the database."""
    context = {"bedrock_key_id": trouble.key_id, "reason": trouble.kind.value, "model": trouble.model_id}
    log.error("a Bedrock key needs an administrator", extra={"context": context})
    spawn(partial(_mark_key, database, trouble))


def _mark_key(database: Database, trouble: KeyTrouble) -> None:
    mark = mark_bedrock_key_unhealthy if trouble.unusable else mark_bedrock_key_limited
    try:
        database.run(lambda connection: mark(connection, trouble.key_id, trouble.reason, datetime.now(UTC)))
    except (DatabaseAway, NotFound) as error:
        log.warning("what is wrong with a Bedrock key could not be written down: %s", error)
