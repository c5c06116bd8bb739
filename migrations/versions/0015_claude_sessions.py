"""Sessions of Claude Code, summed up with the ledger's rows (core/session_sums.py); those whose requests are kept, from these.

Requests that a worker of the release before writes while both run are in the ledger but not in these sums.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_COUNTS = (
    "agents",
    "requests",
    "errors",
    "fallbacks",
    "plan_requests",
    "bedrock_requests",
    "input_tokens",
    "output_tokens",
    "cost_micros",
    "list_value_micros",
)
_OF_SESSIONS = "session_id <> '' AND endpoint = 'messages'"
_FELL_BACK = "provider = 'bedrock' AND fault LIKE 'plan\\_%' ESCAPE '\\'"
_FAILED = "fault <> 'client_gone' AND (status >= 500 OR fault = 'stream_broken' OR (provider = '' AND status >= 400))"
_SESSIONS = f"""
INSERT INTO claude_sessions (access_key_id, session_id, user_id, first_at, last_at, fell_back_at, fault, {", ".join(_COUNTS)})
SELECT access_key_id, session_id, max(user_id), min(started_at), max(started_at), max(CASE WHEN {_FELL_BACK} THEN started_at END),
  '', count(DISTINCT agent_id), count(*), sum(CASE WHEN {_FAILED} THEN 1 ELSE 0 END),
  sum(CASE WHEN {_FELL_BACK} THEN 1 ELSE 0 END), sum(CASE WHEN provider = 'plan' THEN 1 ELSE 0 END),
  sum(CASE WHEN provider = 'bedrock' THEN 1 ELSE 0 END),
  sum(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens), sum(output_tokens), sum(cost_micros),
  sum(list_value_micros)
FROM requests WHERE {_OF_SESSIONS} GROUP BY access_key_id, session_id"""
_AGENTS = f"""
INSERT INTO claude_agents (access_key_id, session_id, agent_id)
SELECT DISTINCT access_key_id, session_id, agent_id FROM requests WHERE {_OF_SESSIONS}"""
_WHY = """
UPDATE claude_sessions SET fault = (SELECT max(r.fault) FROM requests r
  WHERE r.session_id = claude_sessions.session_id AND r.access_key_id = claude_sessions.access_key_id
    AND r.started_at = claude_sessions.fell_back_at AND r.endpoint = 'messages'
    AND r.provider = 'bedrock' AND r.fault LIKE 'plan\\_%' ESCAPE '\\')
WHERE fell_back_at IS NOT NULL"""
STATEMENTS = (_SESSIONS, _AGENTS, _WHY)


def upgrade() -> None:
    op.create_table(
        "claude_sessions",
        sa.Column("access_key_id", sa.String(length=40), nullable=False),
        sa.Column("session_id", sa.String(length=80), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fell_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fault", sa.String(length=40), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.PrimaryKeyConstraint("access_key_id", "session_id", name="pk_claude_sessions"),
    )
    op.create_table(
        "claude_agents",
        sa.Column("access_key_id", sa.String(length=40), nullable=False),
        sa.Column("session_id", sa.String(length=80), nullable=False),
        sa.Column("agent_id", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("access_key_id", "session_id", "agent_id", name="pk_claude_agents"),
        sa.ForeignKeyConstraint(
            ["access_key_id", "session_id"],
            ["claude_sessions.access_key_id", "claude_sessions.session_id"],
            name="fk_claude_agents_session",
            ondelete="CASCADE",
        ),
    )
    for statement in STATEMENTS:
        op.execute(sa.text(statement))
    op.create_index("ix_claude_sessions_last_at", "claude_sessions", ["last_at"])
    op.create_index("ix_claude_sessions_user_last", "claude_sessions", ["user_id", "last_at"])


def downgrade() -> None:
    op.drop_table("claude_agents")
    op.drop_table("claude_sessions")
