"""The tables about sessions of Claude Code: what each was, and which agents were in it. Structure only.

As core.models, whose `MetaData` they belong to. A session is what a client says it is, so it is one only together with the
access key that it came by.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, String, Table

from core.columns import UtcTime
from core.models import metadata

# Summed up with the ledger's rows. `fault` is why Bedrock answered instead of the plan the last time, at `fell_back_at`.
claude_sessions = Table(
    "claude_sessions",
    metadata,
    Column("access_key_id", String(40), primary_key=True),
    Column("session_id", String(80), primary_key=True),
    Column("user_id", String(40), nullable=False),
    Column("first_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("fell_back_at", UtcTime),
    Column("fault", String(40), nullable=False),
    Column("agents", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("fallbacks", BigInteger, nullable=False),
    Column("plan_requests", BigInteger, nullable=False),
    Column("bedrock_requests", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("list_value_micros", BigInteger, nullable=False),
    Index("ix_claude_sessions_last_at", "last_at"),
    Index("ix_claude_sessions_user_last", "user_id", "last_at"),
)

# A row for each agent that has said something, the main one (whose id is empty) too: so that each is counted once.
claude_agents = Table(
    "claude_agents",
    metadata,
    Column("access_key_id", String(40), primary_key=True),
    Column("session_id", String(80), primary_key=True),
    Column("agent_id", String(80), primary_key=True),
    ForeignKeyConstraint(
        ["access_key_id", "session_id"],
        ["claude_sessions.access_key_id", "claude_sessions.session_id"],
        name="fk_claude_agents_session",
        ondelete="CASCADE",
    ),
)
