"""What operations run with, and the whole admin app around it: a database, a probe that answers as told, an actor of any role."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from admin_app.app import AdminApp, Surroundings
from admin_app.fields import from_json
from admin_app.operation import Operation, Tools, Work, perform
from core.actor import Actor, Role
from core.audit import Entry, Filter, entries
from core.crypto import LocalVault, Vault, hash_password
from core.db import Database, open_database
from core.heartbeat import Load, Worker, WorkerSeen
from core.local_files import LocalSecrets
from core.log import AccessLog, LineWriter
from core.ports import ProbeResult
from core.settings import Settings
from core.types import Residency
from tests.core.office import NOW, SERVER_SECRET

PASSWORD = "correct horse battery staple"
HASH = hash_password(PASSWORD, rounds=4)
CANARY = "canary-of-a-bedrock-key"


@dataclass
class Probe:
    """Answers as told, and remembers what it was asked with."""

    result: ProbeResult = field(default_factory=lambda: ProbeResult(True, "a model answered"))
    asked: list[tuple[str, str]] = field(default_factory=list)

    def test(self, region: str, secret: str, residency: Residency) -> ProbeResult:
        self.asked.append((region, secret))
        return self.result


@dataclass
class Desk:
    """Performs operations as somebody, at a moment."""

    database: Database
    probe: Probe = field(default_factory=Probe)
    vault: Vault = field(default_factory=lambda: LocalVault(bytes(32)))
    now: datetime = NOW
    role: Role = Role.EDITOR

    def do(self, operation: Operation, **fields: Any) -> Any:
        actor = Actor("adm_1", "eve", self.role, "session", "", "203.0.113.9")
        settings = Settings(public_url="https://proxy.example.com")
        tools = Tools(settings, SERVER_SECRET, self.vault, self.probe, frozenset(), lambda: seen(self.now))
        return perform(operation, Work(self.database, actor, self.now, tools), from_json(operation.takes, fields))

    def audit(self) -> list[Entry]:
        return self.database.read(lambda c: entries(c, Filter(), 100))


def seen(now: datetime) -> WorkerSeen:
    return WorkerSeen(Worker("wrk_1", "some-host", 42, NOW), Load("ready"), now)


def admin_app(
    database_url: str, folder: Path, probe: Probe | None = None, known: frozenset[str] = frozenset(), **changes: Any
) -> AdminApp:
    """As it is served. `probe` stands for AWS; `known` are the models that were shipped."""
    settings = Settings(database_url=database_url, admin_password_hash=HASH, **changes)
    writer = LineWriter(os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND))
    vault, clock = LocalVault(bytes(32)), NOW.timestamp
    ids: Callable[[], str] = lambda: "req_1"  # noqa: E731
    around = Surroundings(
        lambda: seen(NOW), ids, AccessLog(writer), vault, probe or Probe(), known, clock, clock, ("eu-west-1", "us-east-1")
    )
    secrets = LocalSecrets(SERVER_SECRET, "a signing secret for tests, not for use", HASH)
    return AdminApp(settings, secrets, open_database(settings, pool_size=1), around)


def fields_of(entry: Entry) -> Mapping[str, Any]:
    return {**entry.before, **entry.after}
