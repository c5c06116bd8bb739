"""What grows, and how long each of it is kept: a row a table.

Knows tables and settings, not how rows go (core/retention.py). Invariant: every table that grows with time or traffic is
either here or among those that stay for good, `STAYS` (a test compares both with the schema); accounts, and what people set,
go only when somebody removes them.
"""

from __future__ import annotations

from core.admin_models import admin_sessions, admins, api_tokens, audit
from core.idempotency import idempotency_keys
from core.models import (
    access_keys,
    bedrock_keys,
    circuits,
    claims,
    jobs,
    model_rows,
    repairs,
    requests,
    revisions,
    secret_marks,
    usage_hourly,
    users,
    workers,
)
from core.retention import Kept
from core.session_models import claude_agents, claude_sessions
from core.settings import Settings
from core.spend_models import budget_warnings, plan_window_history, plan_windows, prices, spend_monthly, spend_pending

REQUESTS = "requests"
_A_DAY = 1  # for what workers sweep up themselves while they write: this is for when none writes any more

# For good: accounts and what people set, sums, and tables that hold a row a thing and sweep up after themselves.
STAYS = (
    users,
    access_keys,
    bedrock_keys,
    prices,
    model_rows,
    usage_hourly,
    circuits,
    jobs,
    revisions,
    secret_marks,
    admins,
    api_tokens,
    idempotency_keys,
    claude_agents,  # goes with its session
)


def request_records(days: int) -> Kept:
    return Kept(REQUESTS, requests, requests.c.started_at, days, is_marked=True)


def all_kept(settings: Settings) -> tuple[Kept, ...]:
    """Request records first: they are the most, and what people were promised."""
    history, spend = settings.plan_history_days, settings.spend_retention_days
    return (
        request_records(settings.retention_days),
        Kept("claude_sessions", claude_sessions, claude_sessions.c.last_at, settings.retention_days),
        Kept("plan_window_history", plan_window_history, plan_window_history.c.at, history),
        Kept("plan_windows", plan_windows, plan_windows.c.seen_at, history),
        Kept("spend_monthly", spend_monthly, spend_monthly.c.month, spend),
        Kept("budget_warnings", budget_warnings, budget_warnings.c.month, spend),
        Kept("spend_pending", spend_pending, spend_pending.c.seen_at, _A_DAY),
        Kept("claims", claims, claims.c.expires_at, settings.retention_days),
        Kept("repairs", repairs, repairs.c.expires_at, _A_DAY),
        Kept("audit", audit, audit.c.at, settings.audit_retention_days),
        Kept("admin_sessions", admin_sessions, admin_sessions.c.expires_at, settings.audit_retention_days),
        Kept("workers", workers, workers.c.seen_at, _A_DAY),
    )
