"""What a command of the command line performs operations with: the same as pages and the API, as somebody at the machine.

Whoever can run a command can read the database and the secrets beside it, so it may all that an owner may. Knows no noun.
Invariant: KMS and AWS are not asked, nor the proxy imported, before a command needs them.
"""

from __future__ import annotations

import os
import pwd
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from admin_app.operation import Tools, Work
from core.actor import Actor, Role
from core.crypto import Vault
from core.heartbeat import Load, Worker, WorkerSeen
from core.ports import BedrockProbe, ProbeResult
from core.types import Residency

if TYPE_CHECKING:
    from admin_app.cli_desk import Desk

NOBODY_KNOWN = "command line"


def at_the_machine() -> Actor:
    """Who runs the command, by the operating system's word: the name of the process's user, where it has one."""
    return Actor("", os_username(), Role.OWNER, "cli", "", "")


def os_username() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name or NOBODY_KNOWN
    except KeyError:  # in a container under a number alone
        return NOBODY_KNOWN


def work_of(desk: Desk) -> Work:
    now = desk.now()
    late = _Late(desk)
    tools = Tools(desk.settings, desk.secrets.server_secret, late, late, desk.outside.known_models, lambda: _no_worker(now))
    return Work(desk.database, at_the_machine(), now, tools)


class _Late(Vault, BedrockProbe):
    """The vault and the probe, made when they are asked."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def seal(self, plaintext: str, row_id: str) -> bytes:
        return self._desk.vault().seal(plaintext, row_id)

    def open(self, sealed: bytes, row_id: str) -> str:
        return self._desk.vault().open(sealed, row_id)

    def test(self, region: str, secret: str, residency: Residency) -> ProbeResult:
        return self._desk.outside.build_probe(self._desk.settings).test(region, secret, residency)


def _no_worker(now: datetime) -> WorkerSeen:
    return WorkerSeen(Worker("", "", os.getpid(), now.astimezone(UTC)), Load(""), now)
