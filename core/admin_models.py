"""The tables of administrators and of what they sign in with. Structure only.

As core.models, whose `MetaData` they belong to.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, LargeBinary, String, Table, Text

from core.columns import UtcTime
from core.models import metadata

# `totp_sealed` is empty without a second factor; `recovery_hashes` holds one digest a line.
admins = Table(
    "admins",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("username", String(200), nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("is_managed", Boolean, nullable=False),
    Column("password_hash", String(200), nullable=False),
    Column("totp_sealed", LargeBinary, nullable=False),
    Column("totp_last_step", BigInteger, nullable=False),
    Column("recovery_hashes", Text, nullable=False),
    Column("password_changed_at", UtcTime, nullable=False),
    Column("last_sign_in_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

# Who is signed in: by a browser's cookie (`session`) or a token of the API (`jwt`, whose `jti` is the id).
admin_sessions = Table(
    "admin_sessions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("admin_id", ForeignKey("admins.id"), nullable=False, index=True),
    Column("kind", String(10), nullable=False),
    Column("token_digest", String(64), nullable=False, unique=True),
    Column("address", String(64), nullable=False),
    Column("user_agent", String(120), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("last_used_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("confirmed_at", UtcTime),
    Column("revoked_at", UtcTime),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("admin_id", ForeignKey("admins.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("prefix", String(10), nullable=False),
    Column("token_digest", String(64), nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    Column("expires_at", UtcTime),
    Column("last_used_at", UtcTime),
    Column("last_address", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
)

# Every change by an admin (core/audit.py). `before` and `after` are JSON.
audit = Table(
    "audit",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("admin_id", String(40), nullable=False),
    Column("username", String(200), nullable=False),
    Column("via", String(20), nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(60), nullable=False),
    Column("target", String(80), nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Index("ix_audit_at", "at"),
    Index("ix_audit_target_at", "target", "at"),
    Index("ix_audit_admin_at", "admin_id", "at"),
)
