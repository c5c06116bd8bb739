"""A house of 1,000 users, 10,000 keys and a million requests of thirty days in PostgreSQL, made by its own arithmetic.

Sessions as people have them: fifty requests of one key within an hour, twenty sessions at a time. Shared by nothing but the
proof beside it. Up to now, so that pages show it as it is.
"""

from __future__ import annotations

import os
from pathlib import Path

import psycopg2

from core.crypto import hash_password
from core.local_files import ensure_local
from core.settings import Settings

USERS, KEYS, RECORDS, DAYS = 1000, 10_000, 1_000_000, 30


def load(url: str, records: int = RECORDS) -> None:
    """Everything by SQL; statistics as autovacuum would have them."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for statement in _STATEMENTS:
            cursor.execute(statement.format(records=records, days=DAYS, users=USERS, keys=KEYS))
    connection.autocommit = True
    connection.cursor().execute("VACUUM ANALYZE")
    connection.close()


def settings_for(url: str, password: str, folder: Path) -> dict[str, str]:
    """Of a product in this folder that serves it, with its secrets: for a house with keys in it no server makes any."""
    ensure_local(Settings(data_dir=folder / "var"))
    hashed = hash_password(password, rounds=4)
    return {"PROXY_DATABASE_URL": url, "PROXY_MAX_USERS": "2000", "PROXY_ADMIN_PASSWORD_HASH": hashed}


def cpu_s(url: str) -> float:
    """What the processes of this database's connections have worked so far; without their helpers, and without autovacuum's
    visits, which may end at any moment."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(_CLIENTS)
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for (pid,) in cursor.fetchall()]
    connection.close()
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


_CLIENTS = """SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
_STATEMENTS = (
    """INSERT INTO users (id, name, email, note, strategy, status, monthly_budget_micros, created_at, updated_at)
    SELECT 'usr_' || n, 'user ' || lpad(n::text, 4, '0'), 'user' || n || '@example.com', '', 'plan_first', 'active',
      CASE WHEN n % 3 = 0 THEN 40000000 END, now() - interval '1 year', now() FROM generate_series(0, {users} - 1) n""",
    """INSERT INTO access_keys (id, user_id, name, prefix, secret_hash, hash_version, monthly_budget_micros, expires_at,
      last_seen_at, last_seen_address, created_at, updated_at)
    SELECT 'key_' || lpad(n::text, 6, '0'), 'usr_' || n / 10, 'machine ' || n % 10, 'ak_' || lpad(n::text, 6, '0'), 'hash ' || n,
      1, CASE WHEN n % 7 = 0 THEN 20000000 END, CASE WHEN n % 50 = 0 THEN now() + n * interval '2 minutes' END,
      now() - n * interval '1 minute', '203.0.113.9', now() - interval '1 year', now() FROM generate_series(0, {keys} - 1) n""",
    """INSERT INTO bedrock_keys (id, user_id, name, region, residency, sealed, health, health_reason, tested_at, expires_at,
      created_at, updated_at)
    SELECT 'bk_' || n, 'usr_' || n, '', 'us-east-1', 'geo', '\\x00', CASE WHEN n % 40 = 0 THEN 'unhealthy' ELSE 'healthy' END,
      'a reason', now(), CASE WHEN n % 20 = 0 THEN now() + n * interval '1 hour' END, now(), now()
    FROM generate_series(0, {users} - 1) n""",
    """INSERT INTO requests
    SELECT 'req_' || lpad(n::text, 26, '0'), started, 'usr_' || usr, 'key_' || lpad((usr * 10 + s % 3)::text, 6, '0'),
      CASE WHEN n % 4 = 3 THEN 'count_tokens' ELSE 'messages' END, 'session-' || lpad(s::text, 8, '0'),
      CASE WHEN n % 5 = 0 THEN 'agent-' || n % 3 ELSE '' END, '', provider,
      CASE WHEN on_bedrock THEN 'plan_exhausted' ELSE '' END,
      CASE WHEN on_bedrock THEN 'plan:plan_exhausted; bedrock:200' ELSE 'plan:200' END, model,
      CASE WHEN on_bedrock THEN 'us.anthropic.' || model ELSE model END, '', true, CASE WHEN n % 97 = 0 THEN 529 ELSE 200 END, '',
      n % 5000, n % 700, n % 900, 0, n % 50000, CASE WHEN on_bedrock THEN n % 90000 ELSE 0 END, n % 90000,
      300.0 + n % 1700, 4200.25, 0.8 + (n % 40) / 10.0, 'exact'
    FROM (SELECT *, s * 7919 % {users} AS usr, s % 10 < 3 AS on_bedrock,
        CASE WHEN s % 10 < 3 THEN 'bedrock' ELSE 'plan' END AS provider,
        (ARRAY['claude-opus-5-5', 'claude-sonnet-5-5', 'claude-haiku-5-5'])[1 + s % 3] AS model
      FROM (SELECT n, n % 20 + 20 * (n / 1000) AS s, now() - interval '{days} days' * ({records} - n) / {records} AS started
        FROM generate_series(0, {records} - 1) n) numbered) sessions""",
    """INSERT INTO usage_hourly
    SELECT date_trunc('hour', started_at, 'UTC'), access_key_id, provider, coalesce(nullif(model_served, ''), model_asked),
      min(user_id), count(*), count(*) FILTER (WHERE status >= 500), count(*) FILTER (WHERE provider = 'bedrock'),
      sum(input_tokens), sum(output_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens), sum(cache_read_tokens),
      sum(cost_micros), sum(list_value_micros)
    FROM requests GROUP BY 1, 2, 3, 4""",
    """INSERT INTO claude_sessions
    SELECT access_key_id, session_id, min(user_id), min(started_at), max(started_at),
      max(started_at) FILTER (WHERE provider = 'bedrock'), CASE WHEN max(provider) = 'plan' THEN '' ELSE 'plan_exhausted' END,
      count(DISTINCT agent_id), count(*), count(*) FILTER (WHERE status >= 500), count(*) FILTER (WHERE provider = 'bedrock'),
      count(*) FILTER (WHERE provider = 'plan'), count(*) FILTER (WHERE provider = 'bedrock'),
      sum(input_tokens + cache_write_5m_tokens + cache_read_tokens), sum(output_tokens), sum(cost_micros), sum(list_value_micros)
    FROM requests WHERE endpoint = 'messages' GROUP BY 1, 2""",
    """INSERT INTO claude_agents SELECT DISTINCT access_key_id, session_id, agent_id FROM requests WHERE endpoint = 'messages'""",
    """INSERT INTO spend_monthly SELECT to_char(started_at, 'YYYY-MM'), access_key_id, min(user_id), sum(cost_micros)
    FROM requests WHERE provider = 'bedrock' GROUP BY 1, 2""",
    """INSERT INTO plan_windows SELECT 'key_' || lpad(n::text, 6, '0'), w, 'allowed', '', false,
      CASE WHEN w <> '' THEN (n % 113) / 112.0 END, now() + interval '3 hours', now() - n * interval '1 minute'
    FROM generate_series(0, {keys} - 1) n, unnest(ARRAY['', '5h', '7d']) w""",
    """INSERT INTO plan_window_history SELECT 'key_' || lpad(n::text, 6, '0'), w,
      date_trunc('hour', now()) - s * interval '15 minutes', (s % 97) / 96.0
    FROM unnest(ARRAY[70, 71]) n, generate_series(0, 671) s, unnest(ARRAY['5h', '7d', '7d_opus', 'overage']) w""",
    """INSERT INTO circuits (name, access_key_id, bedrock_key_id, provider, family, state, fault, credential, generation,
      opened_at, until, backoff_s, revision, worker, updated_at)
    SELECT 'plan/' || n, 'key_' || lpad(n::text, 6, '0'), '', 'plan', 'sonnet', 'open', 'plan_exhausted', '', 1, now(),
      now() + interval '1 hour', 1, 1, 'wrk_1', now() FROM generate_series(0, 199) n""",
    """INSERT INTO audit SELECT 'aud_' || lpad(n::text, 8, '0'), now() - n * interval '1 minute', 'adm_1', 'eve', 'session',
      '203.0.113.9', 'user.set', 'usr_' || n % 1000, '{{"note": ""}}', '{{"note": "x"}}' FROM generate_series(0, 19999) n""",
)
