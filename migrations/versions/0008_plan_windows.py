"""A plan's windows as last seen, and their history (core/plan_window_rows.py). Yesterday's code does not know the tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plan_windows",
        sa.Column("access_key_id", sa.String(length=40), nullable=False),
        sa.Column("window", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("claim", sa.String(length=40), nullable=False),
        sa.Column("in_use", sa.Boolean(), nullable=False),
        sa.Column("utilization", sa.Float()),
        sa.Column("resets_at", sa.DateTime(timezone=True)),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("access_key_id", "window", name="pk_plan_windows"),
    )
    op.create_index("ix_plan_windows_seen_at", "plan_windows", ["seen_at"])
    op.create_table(
        "plan_window_history",
        sa.Column("access_key_id", sa.String(length=40), nullable=False),
        sa.Column("window", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("utilization", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("access_key_id", "window", "at", name="pk_plan_window_history"),
    )
    op.create_index("ix_plan_window_history_at", "plan_window_history", ["at"])


def downgrade() -> None:
    op.drop_table("plan_window_history")
    op.drop_table("plan_windows")
