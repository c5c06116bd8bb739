"""The requests of a session out of an index (core/session_report.py). Yesterday's code does not mind."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_requests_session_started", "requests", ["session_id", "started_at"])


def downgrade() -> None:
    op.drop_index("ix_requests_session_started", "requests")
