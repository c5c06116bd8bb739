"""Models that admins add over the catalogue, and the number by which workers hear of them. Yesterday's code knows neither."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("bedrock_key_id", sa.String(length=40), nullable=False),
        sa.Column("bedrock", sa.String(length=400), nullable=False),
        sa.Column("prefixes", sa.String(length=100), nullable=False),
        sa.Column("like_model", sa.String(length=120), nullable=False),
        sa.Column("context_window", sa.Integer(), nullable=True),
        sa.Column("max_output", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("model", "bedrock_key_id", name="uq_models_model"),
    )
    op.add_column("revisions", sa.Column("models", sa.BigInteger(), server_default="1", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("revisions") as revisions:
        revisions.drop_column("models")
    op.drop_table("models")
