"""Operations performed on a database by an actor of a chosen role: an administration without HTTP.

Knows no page and no app. Invariant: what is outside (AWS, KMS, the clock) answers what the test said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from admin_app.fields import from_json
from admin_app.operation import Operation, Tools, Work, perform
from core.actor import Actor, Role
from core.audit import Entry, Filter, entries
from core.crypto import LocalVault, Vault
from core.db import Database
from core.heartbeat import Load, Worker, WorkerSeen
from core.passwords import hash_new_password
from core.ports import ProbeResult
from core.settings import Settings
from core.types import Residency
from tests.core.office import NOW, SERVER_SECRET

MODELS = frozenset({"claude-opus-5-5", "claude-sonnet-5-5"})
CANARY = "canary-of-a-bedrock-key"
PUBLIC_URL = "https://proxy.example.com"


@dataclass
class Probe:
    """Answers what a test wants AWS to answer, and remembers what it was asked with."""

    result: ProbeResult = field(default_factory=lambda: ProbeResult(True, "a model answered"))
    asked: list[tuple[str, str, Residency]] = field(default_factory=list)

    def test(self, region: str, secret: str, residency: Residency) -> ProbeResult:
        self.asked.append((region, secret, residency))
        return self.result


@dataclass
class Desk:
    """`does(operation, **fields)` as somebody, at a moment; the fields are what JSON would hold."""

    database: Database
    role: Role = Role.OWNER
    now: datetime = NOW
    settings: Settings = field(default_factory=lambda: Settings(public_url=PUBLIC_URL))
    probe: Probe = field(default_factory=Probe)
    vault: Vault = field(default_factory=lambda: LocalVault(bytes(32)))
    hash_password: Callable[[str, str], str] = field(default_factory=lambda: partial(hash_new_password, rounds=4))  # nobody waits

    @property
    def tools(self) -> Tools:
        around = (self.vault, self.probe, lambda: MODELS, lambda: seen(self.now))
        return Tools(self.settings, SERVER_SECRET, *around, hash_password=self.hash_password)

    def does(self, operation: Operation, **fields: Any) -> Any:
        work = Work(self.database, an_actor(self.role), self.now, self.tools)
        return perform(operation, work, from_json(operation.takes, fields))

    def as_a(self, role: Role) -> Desk:
        return replace(self, role=role)

    def later(self, **span: float) -> Desk:
        return replace(self, now=self.now + timedelta(**span))

    def audited(self, **wanted: Any) -> list[Entry]:
        """The latest first."""
        return list(self.database.read(lambda connection: entries(connection, Filter(**wanted), 100).lines))


def an_actor(role: Role, **more: Any) -> Actor:
    actor = Actor("adm_1", f"the-{role}", role, "session", "ses_1", "203.0.113.9", NOW)
    return replace(actor, **more)


def seen(now: datetime = NOW) -> WorkerSeen:
    """This worker, as its own pages show it."""
    return WorkerSeen(Worker("wrk_1", "some-host", 42, NOW), Load("ready"), now)
