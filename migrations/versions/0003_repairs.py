"""What Bedrock was found to refuse (core/repairs.py), and its number among the revisions. Yesterday's code knows neither."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "repairs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("bedrock_key_id", sa.String(length=40), nullable=False),
        sa.Column("region", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("standing", sa.String(length=20), nullable=False),
        sa.Column("cohort", sa.Integer(), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_repairs"),
    )
    op.create_index("ix_repairs_place", "repairs", ["bedrock_key_id", "region", "model"])
    op.add_column("revisions", sa.Column("repairs", sa.BigInteger(), server_default="1", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("revisions") as revisions:
        revisions.drop_column("repairs")
    op.drop_table("repairs")
