"""How the installation is: version, settings without secrets, database, spools, workers (SPEC section 11)."""

from __future__ import annotations

import time
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from admin_app.model_operations import Everything
from admin_app.operation import Offer, Operation, Shown, Work
from core.actor import Role
from core.admins import owners_without_totp
from core.heartbeat import WorkerSeen, list_workers
from core.settings import Settings
from core.system_report import Job, SpoolFile, schema_version, spool_files, table_sizes, waiting_jobs
from core.version import VERSION

if TYPE_CHECKING:
    from sqlalchemy import Connection

SET, NOT_SET = "set", "not set"


class SettingShown(Shown, frozen=True, kw_only=True):
    """`value` as it is in force; of a secret, whether it is set. `is_default`: nobody set it."""

    name: str
    value: str
    is_default: bool
    is_secret: bool
    doc: str


class WorkerShown(Shown, frozen=True, kw_only=True):
    """A worker of any task. `waiting` records are in its spool, `lost` ones never will be in the ledger."""

    id: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    state: str
    plan: str
    streams: int
    waiting: int
    lost: int
    is_silent: bool


class SystemShown(Shown, frozen=True, kw_only=True):
    """`tables` are rows by table (on PostgreSQL as its statistics estimate); `spools` are those of the task that answers.
    `owners_without_second_factor`: active ones, whom a password alone lets in."""

    version: str
    environment: str
    base_url: str
    dialect: str
    schema: str
    database_ms: float
    owners_without_second_factor: int
    tables: dict[str, int]
    workers: list[WorkerShown]
    spools: list[SpoolFile]
    jobs: list[Job]
    settings: list[SettingShown]


def _system(work: Work, _: Everything) -> SystemShown:
    began = time.monotonic()
    schema = work.read(lambda doing: schema_version(doing.connection))
    took_ms = (time.monotonic() - began) * 1000
    sizes, jobs, workers, bare = work.read(lambda doing: _looked(doing.connection))
    settings, this = work.tools.settings, work.tools.this_worker()
    others = [each for each in workers if each.worker.id != this.worker.id]
    return SystemShown(
        version=VERSION,
        environment=settings.environment,
        base_url=settings.base_url,
        dialect=work.database.dialect,
        schema=schema,
        database_ms=round(took_ms, 1),
        owners_without_second_factor=bare,
        tables=sizes,
        workers=[_worker(each, work.now) for each in (this, *others)],
        spools=spool_files(settings.spool_dir),
        jobs=jobs,
        settings=[_setting(settings, each) for each in fields(settings)],
    )


def _looked(connection: Connection) -> tuple[dict[str, int], list[Job], list[WorkerSeen], int]:
    return table_sizes(connection), waiting_jobs(connection), list_workers(connection), owners_without_totp(connection)


def _worker(seen: WorkerSeen, now: datetime) -> WorkerShown:
    who, load = seen.worker, seen.load
    return WorkerShown(
        id=who.id,
        host=who.host,
        pid=who.pid,
        version=who.version,
        started_at=who.started_at,
        seen_at=seen.seen_at,
        state=load.state,
        plan=load.plan,
        streams=load.streams,
        waiting=load.waiting,
        lost=load.lost,
        is_silent=seen.is_silent(now),
    )


def _setting(settings: Settings, field: Any) -> SettingShown:
    value, is_secret = getattr(settings, field.name), bool(field.metadata.get("secret"))
    shown = (SET if value else NOT_SET) if is_secret else _text(value)
    doc = str(field.metadata.get("doc", ""))
    name = f"PROXY_{field.name.upper()}"
    return SettingShown(name=name, value=shown, is_default=value == field.default, is_secret=is_secret, doc=doc)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


GET = Operation("getSystem", "How the installation is", Role.VIEWER, Everything, SystemShown, _system)

OFFERS = (Offer("GET", "/system", GET, tag="System"),)
