"""An administration without HTTP: operations performed on a database by an actor of a chosen role."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from admin_app.fields import from_json
from admin_app.operation import Operation, Tools, Work, perform
from core.actor import Actor, Role
from core.audit import Entry, Filter, entries
from core.crypto import LocalVault
from core.db import Database
from core.heartbeat import Load, Worker, WorkerSeen
from core.ports import ProbeResult
from core.settings import Settings
from core.types import Residency
from tests.core.office import NOW, SERVER_SECRET

MODELS = frozenset({"claude-opus-5-5", "claude-sonnet-5-5"})


@dataclass
class Probe:
    """Answers what a test wants AWS to answer, and remembers which regions were asked."""

    result: ProbeResult = field(default_factory=lambda: ProbeResult(True, "answered"))
    regions: tuple[str, ...] = ()

    def test(self, region: str, secret: str, residency: Residency) -> ProbeResult:
        self.regions += (region,)
        return self.result


def tools_for(tmp_path: Path, probe: Probe, **settings: Any) -> Tools:
    seen = WorkerSeen(Worker("wrk_1", "some-host", 42, NOW), Load("ready"), NOW)
    wanted = Settings(data_dir=tmp_path, public_url="https://proxy.example.com", **settings)
    return Tools(wanted, SERVER_SECRET, LocalVault(b"k" * 32), probe, MODELS, lambda: seen)


def an_actor(role: Role, **more: Any) -> Actor:
    actor = Actor("adm_1", f"the-{role}", role, "session", "ses_1", "203.0.113.9", NOW)
    return replace(actor, **more)


@dataclass
class Desk:
    """`does(operation, **fields)` as somebody; the fields are what JSON would hold."""

    database: Database
    tools: Tools
    role: Role = Role.OWNER
    now: datetime = NOW

    def does(self, operation: Operation, **fields: Any) -> Any:
        work = Work(self.database, an_actor(self.role), self.now, self.tools)
        return perform(operation, work, from_json(operation.takes, fields))

    def as_a(self, role: Role) -> Desk:
        return replace(self, role=role)

    def later(self, **span: float) -> Desk:
        return replace(self, now=self.now + timedelta(**span))

    def audited(self, **wanted: Any) -> list[Entry]:
        return list(self.database.read(lambda connection: entries(connection, Filter(**wanted), 100).lines))
