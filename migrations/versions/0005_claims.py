"""One-time links: what key a link stands for, and its token's hash. Yesterday's code does not know it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "claims",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("strategy", sa.String(length=20)),
        sa.Column("monthly_budget_micros", sa.BigInteger()),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("key_expires_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.Column("access_key_id", sa.String(length=40)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_claims_user_id"),
        sa.ForeignKeyConstraint(["access_key_id"], ["access_keys.id"], name="fk_claims_access_key_id"),
        sa.PrimaryKeyConstraint("id", name="pk_claims"),
        sa.UniqueConstraint("token_hash", name="uq_claims_token_hash"),
    )
    op.create_index("ix_claims_user_id", "claims", ["user_id"])


def downgrade() -> None:
    op.drop_table("claims")
