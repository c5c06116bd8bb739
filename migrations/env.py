"""Alembic's entry: runs the migrations on the connection that `core.db.migrate` hands in, inside its transaction.

Knows the tables, and no configuration of its own. Invariant: transaction, queueing and time limits are core.db's. Called
without a connection (the `alembic` command, to write a new migration) it takes the configured database.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

import core.admin_models
import core.audit
import core.idempotency
import core.session_models
import core.spend_models  # noqa: F401  all add their tables
from core.db import open_database
from core.models import metadata
from core.settings import load_settings


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    open_database(load_settings(), pool_size=1).migrate(run)
