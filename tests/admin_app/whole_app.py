"""The admin app as a worker has it, without a server, its clocks those of the tests.

Knows what the app is built with, and nothing of what it does. Invariant: one admin, of the settings, who signs in with PASSWORD.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from admin_app.app import AdminApp, Surroundings
from core.crypto import LocalVault, hash_password
from core.db import open_database
from core.local_files import LocalSecrets
from core.log import AccessLog, LineWriter
from core.settings import Settings
from tests.admin_app.desk import MODELS, Probe, seen
from tests.core.office import NOW, SERVER_SECRET

PASSWORD = "correct horse battery staple"
SECRET = "a signing secret for tests, not for use; so long that every algorithm likes it"
HASH = hash_password(PASSWORD, rounds=4)
REGIONS = ("eu-west-1", "us-east-1")

Wall = Callable[[], float]


def admin_app(
    database_url: str, folder: Path, probe: Probe | None = None, wall: Wall = NOW.timestamp, **changes: Any
) -> AdminApp:
    """As it is served. `probe` stands for AWS, `wall` for both clocks; `changes` are settings; its log is in `folder`."""
    settings = Settings(**{"database_url": database_url, "admin_password_hash": HASH, **changes})
    secrets = LocalSecrets(SERVER_SECRET, SECRET, settings.admin_password_hash)
    return AdminApp(settings, secrets, open_database(settings, pool_size=1), surroundings(folder, probe, wall))


def surroundings(folder: Path, probe: Probe | None = None, wall: Wall = NOW.timestamp) -> Surroundings:
    writer = LineWriter(os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND))
    return Surroundings(
        lambda: seen(datetime.fromtimestamp(wall(), UTC)),
        lambda: "req_1",
        AccessLog(writer),
        LocalVault(bytes(32)),
        probe or Probe(),
        MODELS,
        clock=wall,
        wall=wall,
        known_regions=REGIONS,
    )
