"""The tables. Structure only: no queries, no rules.

One `MetaData`, SQLAlchemy Core, so that every query says what it reads. Invariant: only types that SQLite and PostgreSQL
both have exactly: text, 64-bit integers, floats, booleans, bytes, and UTC times through `UtcTime`. Money is integer
micro-dollars in columns that end in `_micros`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from core.columns import UtcTime

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=_NAMES)

_HAS_FAULT, _IS_BAD = text("fault <> ''"), text("status >= 400")

users = Table(
    "users",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("email", String(320), nullable=False, default=""),
    Column("note", Text, nullable=False, default=""),
    Column("strategy", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("monthly_budget_micros", BigInteger),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False, default=""),
    Column("prefix", String(9), nullable=False),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("hash_version", Integer, nullable=False, default=1),
    Column("previous_hash", String(64), unique=True),
    Column("previous_valid_until", UtcTime),
    Column("strategy", String(20)),
    Column("monthly_budget_micros", BigInteger),
    Column("requests_per_minute", Integer),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("last_seen_at", UtcTime),
    Column("last_seen_address", String(64), nullable=False, default=""),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

# A Bedrock key belongs to a user (all their access keys may use it) or to one access key alone.
bedrock_keys = Table(
    "bedrock_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("access_key_id", ForeignKey("access_keys.id"), index=True),
    Column("name", String(200), nullable=False, default=""),
    Column("region", String(40), nullable=False),
    Column("residency", String(20), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("health", String(20), nullable=False),
    Column("health_reason", String(500), nullable=False, default=""),
    Column("tested_at", UtcTime),
    Column("expires_at", UtcTime),
    Column("deleted_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

# One-time links (core/claims.py): the key that a link stands for does not exist before somebody uses it.
claims = Table(
    "claims",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False, default=""),
    Column("strategy", String(20)),
    Column("monthly_budget_micros", BigInteger),
    Column("requests_per_minute", Integer),
    Column("key_expires_at", UtcTime),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
    Column("access_key_id", ForeignKey("access_keys.id")),
    Column("created_at", UtcTime, nullable=False),
)

# One row per circuit that is not closed (or was lately): SPEC section 5. `until` is when it may be probed again.
circuits = Table(
    "circuits",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("access_key_id", String(40), nullable=False, default="", index=True),
    Column("bedrock_key_id", String(40), nullable=False, default=""),
    Column("provider", String(20), nullable=False),
    Column("family", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("fault", String(40), nullable=False, default=""),
    Column("credential", String(16), nullable=False, default=""),
    Column("generation", BigInteger, nullable=False, default=0),
    Column("opened_at", UtcTime),
    Column("until", UtcTime),
    Column("probe_at", UtcTime),
    Column("backoff_s", Float, nullable=False, default=0.0),
    Column("revision", BigInteger, nullable=False, default=0, index=True),
    Column("worker", String(80), nullable=False, default=""),
    Column("updated_at", UtcTime, nullable=False),
)

# The ledger: one row per request, written once (SPEC section 9). Columns as core.record.RequestRecord.
requests = Table(
    "requests",
    metadata,
    Column("request_id", String(40), primary_key=True),
    Column("started_at", UtcTime, nullable=False),
    Column("user_id", String(40), nullable=False),
    Column("access_key_id", String(40), nullable=False),
    Column("endpoint", String(20), nullable=False),
    Column("session_id", String(80), nullable=False),
    Column("agent_id", String(80), nullable=False),
    Column("parent_agent_id", String(80), nullable=False),
    Column("provider", String(20), nullable=False),
    Column("fault", String(40), nullable=False),
    Column("trace", Text, nullable=False),
    Column("model_asked", String(200), nullable=False),
    Column("model_served", String(200), nullable=False),
    Column("bedrock_key_id", String(40), nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error_type", String(60), nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cache_write_5m_tokens", BigInteger, nullable=False),
    Column("cache_write_1h_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("list_value_micros", BigInteger, nullable=False),
    Column("first_byte_ms", Float, nullable=False),
    Column("total_ms", Float, nullable=False),
    Column("overhead_ms", Float, nullable=False),
    Column("confidence", String(20), nullable=False),
    Index("ix_requests_started_at", "started_at"),
    Index("ix_requests_user_started", "user_id", "started_at"),
    Index("ix_requests_key_started", "access_key_id", "started_at"),
    # What people search for is rare among a million good requests: indexes that hold only that.
    Index("ix_requests_fault_started", "fault", "started_at", postgresql_where=_HAS_FAULT, sqlite_where=_HAS_FAULT),
    Index("ix_requests_bad_started", "started_at", postgresql_where=_IS_BAD, sqlite_where=_IS_BAD),
    Index("ix_requests_session_started", "session_id", "started_at"),
)

# Roll-ups, in the same transaction as the rows they sum. `hour` is the UTC hour's beginning.
usage_hourly = Table(
    "usage_hourly",
    metadata,
    Column("hour", UtcTime, primary_key=True),
    Column("access_key_id", String(40), primary_key=True),
    Column("provider", String(20), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("user_id", String(40), nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("fallbacks", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cache_write_5m_tokens", BigInteger, nullable=False),
    Column("cache_write_1h_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("list_value_micros", BigInteger, nullable=False),
    Index("ix_usage_hourly_user_hour", "user_id", "hour"),
    Index("ix_usage_hourly_key_hour", "access_key_id", "hour"),
)

# What one worker of all does for all, now and then: a row for each such job. Whoever moves a `due_at` that has come onwards has
# the job. `through`: everything older has been dealt with (of `purge`: request records have been deleted up to there).
jobs = Table(
    "jobs",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("due_at", UtcTime, nullable=False),
    Column("through", UtcTime),
)

# Which secrets this database was filled with, a row each (core/secret_marks.py). A mark tells nothing of its secret.
secret_marks = Table(
    "secret_marks",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("mark", String(40), nullable=False),
    Column("since", UtcTime, nullable=False),
)

# What Bedrock was found to refuse, a row for each name (core/repairs.py). `cohort`: suspects of which one at least is refused.
repairs = Table(
    "repairs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("bedrock_key_id", String(40), nullable=False),
    Column("region", String(40), nullable=False),
    Column("model", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("name", String(80), nullable=False),
    Column("standing", String(20), nullable=False),
    Column("cohort", Integer, nullable=False),
    Column("learned_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Index("ix_repairs_place", "bedrock_key_id", "region", "model"),
)

# One row (id 1). Whoever changes keys, circuits, prices, models or repairs adds 1 in the same transaction; the tick polls it.
revisions = Table(
    "revisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("grants", BigInteger, nullable=False),
    Column("circuits", BigInteger, nullable=False),
    Column("prices", BigInteger, nullable=False),
    Column("repairs", BigInteger, nullable=False, server_default="1"),
    Column("models", BigInteger, nullable=False, server_default="1"),
)

# Models that admins added, over the catalogue that is shipped. `bedrock_key_id` is empty in a row that holds for every key.
model_rows = Table(
    "models",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("model", String(120), nullable=False),
    Column("bedrock_key_id", String(40), nullable=False),
    Column("bedrock", String(400), nullable=False),
    Column("prefixes", String(100), nullable=False),
    Column("like_model", String(120), nullable=False),
    Column("context_window", Integer),
    Column("max_output", Integer),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("model", "bedrock_key_id"),
)

# One row per worker, written again every few seconds while it lives (core/heartbeat.py). Who died without a word goes silent.
workers = Table(
    "workers",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("host", String(200), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(40), nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("state", String(20), nullable=False),
    Column("plan", String(100), nullable=False),
    Column("streams", Integer, nullable=False),
    Column("waiting", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
)
