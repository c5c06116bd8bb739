"""What keys spend in a month, what workers have reserved of it, and which warnings were given (core/spend_rows.py).

Requests that a worker of the release before writes while both run are in the ledger but not in this month's spend.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "spend_monthly",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("access_key_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("month", "access_key_id", name="pk_spend_monthly"),
    )
    op.create_index("ix_spend_monthly_user_id", "spend_monthly", ["user_id"])
    op.create_table(
        "spend_pending",
        sa.Column("worker_id", sa.String(length=40), nullable=False),
        sa.Column("access_key_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("worker_id", "access_key_id", name="pk_spend_pending"),
    )
    op.create_table(
        "budget_warnings",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("holder", sa.String(length=40), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("month", "holder", "percent", name="pk_budget_warnings"),
    )


def downgrade() -> None:
    op.drop_table("budget_warnings")
    op.drop_table("spend_pending")
    op.drop_table("spend_monthly")
