"""Indexes for finding requests that went wrong: they hold only those (core/request_search.py).

Yesterday's code runs with them as before. Rows with faults are few, so they are made within the lock timeout of a migration.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_HAS_FAULT, _IS_BAD = sa.text("fault <> ''"), sa.text("status >= 400")


def upgrade() -> None:
    op.create_index(
        "ix_requests_fault_started", "requests", ["fault", "started_at"], postgresql_where=_HAS_FAULT, sqlite_where=_HAS_FAULT
    )
    op.create_index("ix_requests_bad_started", "requests", ["started_at"], postgresql_where=_IS_BAD, sqlite_where=_IS_BAD)


def downgrade() -> None:
    op.drop_index("ix_requests_bad_started", "requests")
    op.drop_index("ix_requests_fault_started", "requests")
