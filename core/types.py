"""The closed words of the domain, shared by both apps.

Knows no database, no HTTP and no library. Everything here is a value: frozen, comparable, safe to hand between
greenlets. Invariant: money is integer micro-dollars, time is aware UTC, tokens are whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Strategy(StrEnum):
    """Which upstreams a user's (or a key's) requests may use, and in which order."""

    PLAN_FIRST = "plan_first"
    BEDROCK_ONLY = "bedrock_only"
    PLAN_ONLY = "plan_only"


class ProviderName(StrEnum):
    """The label of an upstream in logs, metrics, the ledger and `x-proxy-provider`."""

    PLAN = "plan"
    BEDROCK = "bedrock"


class UserStatus(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"
    DELETED = "deleted"


class Residency(StrEnum):
    """Where Bedrock may answer: anywhere (`global.` profiles) or only inside the region's own geography."""

    GLOBAL = "global"
    GEO = "geo"


class KeyHealth(StrEnum):
    """What is known of a Bedrock key: untested, working, in use though AWS denies it some model, or refused (then unused)."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    LIMITED = "limited"
    UNHEALTHY = "unhealthy"


class Confidence(StrEnum):
    """How well a record's token counts are known: the upstream said so, said part of it, or we reckoned."""

    EXACT = "exact"
    PARTIAL = "partial"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer. `input_tokens` excludes all cache tokens; output includes thinking."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0


@dataclass(frozen=True, slots=True)
class BedrockKey:
    """An opened Bedrock API key, as a grant carries it. The secret never appears in a repr."""

    id: str
    region: str
    residency: Residency
    health: KeyHealth
    secret: str = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid access key entitles to. Cached by the directory; never holds the key itself.

    Budgets are micro-dollars a month, spent on Bedrock; None where there is none.
    """

    user_id: str
    access_key_id: str
    strategy: Strategy
    bedrock_keys: tuple[BedrockKey, ...] = ()
    requests_per_minute: int | None = None
    user_budget_micros: int | None = None
    key_budget_micros: int | None = None

    @property
    def usable_bedrock_keys(self) -> tuple[BedrockKey, ...]:
        return tuple(key for key in self.bedrock_keys if key.health is not KeyHealth.UNHEALTHY)
