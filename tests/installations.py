"""The tables of a local installation, without the time that making them takes: a copy of a database that was migrated once.

That `migrate` makes them is proven where it is tested (test_start.py, test_migrations.py, test_cli.py).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from core.local_files import ensure_local
from core.settings import Settings


def with_tables(settings: Settings, template: Path) -> None:
    """Private, with the secrets beside it, as the product makes them. `settings` name no database."""
    ensure_local(settings)
    database = settings.data_dir / "proxy.sqlite"
    shutil.copyfile(template, database)
    database.chmod(0o600)
