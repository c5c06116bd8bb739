"""The first tables, as core/models.py has them, and the one row of `revisions`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make_users()
    _make_access_keys()
    _make_bedrock_keys()
    _make_circuits()
    _make_requests()
    _make_usage_hourly()
    _make_revisions()


def downgrade() -> None:
    op.drop_table("revisions")
    op.drop_table("usage_hourly")
    op.drop_table("requests")
    op.drop_table("circuits")
    op.drop_table("bedrock_keys")
    op.drop_table("access_keys")
    op.drop_table("users")


def _make_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("monthly_budget_micros", sa.BigInteger()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )


def _make_access_keys() -> None:
    op.create_table(
        "access_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("prefix", sa.String(length=9), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("hash_version", sa.Integer(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64)),
        sa.Column("previous_valid_until", sa.DateTime(timezone=True)),
        sa.Column("strategy", sa.String(length=20)),
        sa.Column("monthly_budget_micros", sa.BigInteger()),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("last_seen_at", sa.DateTime(timezone=True)),
        sa.Column("last_seen_address", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_access_keys_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_access_keys"),
        sa.UniqueConstraint("previous_hash", name="uq_access_keys_previous_hash"),
        sa.UniqueConstraint("secret_hash", name="uq_access_keys_secret_hash"),
    )
    op.create_index("ix_access_keys_user_id", "access_keys", ["user_id"])


def _make_bedrock_keys() -> None:
    op.create_table(
        "bedrock_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("access_key_id", sa.String(length=40)),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("region", sa.String(length=40), nullable=False),
        sa.Column("residency", sa.String(length=20), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("health", sa.String(length=20), nullable=False),
        sa.Column("health_reason", sa.String(length=500), nullable=False),
        sa.Column("tested_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["access_key_id"], ["access_keys.id"], name="fk_bedrock_keys_access_key_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_bedrock_keys_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_bedrock_keys"),
    )
    op.create_index("ix_bedrock_keys_access_key_id", "bedrock_keys", ["access_key_id"])
    op.create_index("ix_bedrock_keys_user_id", "bedrock_keys", ["user_id"])


def _make_circuits() -> None:
    op.create_table(
        "circuits",
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("access_key_id", sa.String(length=40), nullable=False),
        sa.Column("bedrock_key_id", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("family", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("fault", sa.String(length=40), nullable=False),
        sa.Column("credential", sa.String(length=16), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True)),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("probe_at", sa.DateTime(timezone=True)),
        sa.Column("backoff_s", sa.Float(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.String(length=80), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_circuits"),
    )
    op.create_index("ix_circuits_access_key_id", "circuits", ["access_key_id"])
    op.create_index("ix_circuits_revision", "circuits", ["revision"])


def _make_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("access_key_id", sa.String(length=40), nullable=False),
        sa.Column("endpoint", sa.String(length=20), nullable=False),
        sa.Column("session_id", sa.String(length=80), nullable=False),
        sa.Column("agent_id", sa.String(length=80), nullable=False),
        sa.Column("parent_agent_id", sa.String(length=80), nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("fault", sa.String(length=40), nullable=False),
        sa.Column("trace", sa.Text(), nullable=False),
        sa.Column("model_asked", sa.String(length=200), nullable=False),
        sa.Column("model_served", sa.String(length=200), nullable=False),
        sa.Column("bedrock_key_id", sa.String(length=40), nullable=False),
        sa.Column("streamed", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("error_type", sa.String(length=60), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_5m_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_1h_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("list_value_micros", sa.BigInteger(), nullable=False),
        sa.Column("first_byte_ms", sa.Float(), nullable=False),
        sa.Column("total_ms", sa.Float(), nullable=False),
        sa.Column("overhead_ms", sa.Float(), nullable=False),
        sa.Column("confidence", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_requests"),
    )
    op.create_index("ix_requests_key_started", "requests", ["access_key_id", "started_at"])
    op.create_index("ix_requests_started_at", "requests", ["started_at"])
    op.create_index("ix_requests_user_started", "requests", ["user_id", "started_at"])


def _make_usage_hourly() -> None:
    op.create_table(
        "usage_hourly",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("access_key_id", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("fallbacks", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_5m_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_1h_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("list_value_micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "access_key_id", "provider", "model", name="pk_usage_hourly"),
    )
    op.create_index("ix_usage_hourly_user_id", "usage_hourly", ["user_id"])


def _make_revisions() -> None:
    op.create_table(
        "revisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("grants", sa.BigInteger(), nullable=False),
        sa.Column("circuits", sa.BigInteger(), nullable=False),
        sa.Column("prices", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_revisions"),
    )
    op.execute("INSERT INTO revisions (id, grants, circuits, prices) VALUES (1, 1, 1, 1)")
