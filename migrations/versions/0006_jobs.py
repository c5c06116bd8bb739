"""Jobs that one worker does for all, and sums of a user's or a key's month out of an index. Yesterday's code knows neither."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    jobs = op.create_table(
        "jobs",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("through", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("name", name="pk_jobs"),
    )
    op.bulk_insert(jobs, [{"name": "purge", "due_at": datetime(2026, 1, 1, tzinfo=UTC)}])
    op.create_index("ix_usage_hourly_user_hour", "usage_hourly", ["user_id", "hour"])
    op.create_index("ix_usage_hourly_key_hour", "usage_hourly", ["access_key_id", "hour"])
    op.drop_index("ix_usage_hourly_user_id", "usage_hourly")


def downgrade() -> None:
    op.create_index("ix_usage_hourly_user_id", "usage_hourly", ["user_id"])
    op.drop_index("ix_usage_hourly_key_hour", "usage_hourly")
    op.drop_index("ix_usage_hourly_user_hour", "usage_hourly")
    op.drop_table("jobs")
