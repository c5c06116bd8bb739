"""The tables about money and plans: prices, what was spent, and how much of its windows a plan has left. Structure only.

As core.models, whose `MetaData` they belong to.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, String, Table, Text, UniqueConstraint

from core.columns import UtcTime
from core.models import metadata

# Prices that administrators laid over the shipped ones. `document` has the shape of a row in core/data/prices.json.
prices = Table(
    "prices",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("model", String(100), nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("model", "since"),
)

# The plan behind an access key, as its answers last told it: a row for each window, and one (window "") for all of them.
plan_windows = Table(
    "plan_windows",
    metadata,
    Column("access_key_id", String(40), primary_key=True),
    Column("window", String(20), primary_key=True),
    Column("status", String(40), nullable=False),
    Column("claim", String(40), nullable=False),
    Column("in_use", Boolean, nullable=False),
    Column("utilization", Float),
    Column("resets_at", UtcTime),
    Column("seen_at", UtcTime, nullable=False, index=True),
)

# The last share seen in each quarter of an hour.
plan_window_history = Table(
    "plan_window_history",
    metadata,
    Column("access_key_id", String(40), primary_key=True),
    Column("window", String(20), primary_key=True),
    Column("at", UtcTime, primary_key=True, index=True),
    Column("utilization", Float, nullable=False),
)

# What each key spent on Bedrock in a month of the budgets' time zone; summed up with the ledger's rows.
spend_monthly = Table(
    "spend_monthly",
    metadata,
    Column("month", String(7), primary_key=True),
    Column("access_key_id", String(40), primary_key=True),
    Column("user_id", String(40), nullable=False, index=True),
    Column("cost_micros", BigInteger, nullable=False),
)

# What a worker has in flight, or not in the ledger yet: estimated while a request runs, exact once it is over.
spend_pending = Table(
    "spend_pending",
    metadata,
    Column("worker_id", String(40), primary_key=True),
    Column("access_key_id", String(40), primary_key=True),
    Column("user_id", String(40), nullable=False),
    Column("micros", BigInteger, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
)

# Each warning is given once in a month, whichever worker comes first.
budget_warnings = Table(
    "budget_warnings",
    metadata,
    Column("month", String(7), primary_key=True),
    Column("holder", String(40), primary_key=True),
    Column("percent", Integer, primary_key=True),
    Column("created_at", UtcTime, nullable=False),
)
