"""Why an upstream did not serve, and what follows: the one policy table (SPEC section 4).

Pure. Nothing else in the product decides whether a fault falls back, what it does to a circuit, or which error the client
sees when we must make one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy_app.call import Reply


class Fault(StrEnum):
    """Why an upstream did not serve. The value is what logs, `x-proxy-fallback` and the ledger say."""

    PLAN_EXHAUSTED = "plan_exhausted"
    PLAN_THROTTLED = "plan_throttled"
    PLAN_ENTITLEMENT = "plan_entitlement"
    PLAN_OVERLOADED = "plan_overloaded"
    PLAN_ERROR = "plan_error"
    PLAN_UNREACHABLE = "plan_unreachable"
    PLAN_TIMEOUT = "plan_timeout"
    PLAN_AUTH = "plan_auth"
    BEDROCK_THROTTLED = "bedrock_throttled"
    BEDROCK_QUOTA = "bedrock_quota"
    BEDROCK_OVERLOADED = "bedrock_overloaded"
    BEDROCK_ERROR = "bedrock_error"
    BEDROCK_UNREACHABLE = "bedrock_unreachable"
    BEDROCK_TIMEOUT = "bedrock_timeout"
    BEDROCK_AUTH = "bedrock_auth"
    BEDROCK_DENIED = "bedrock_denied"
    BEDROCK_UNSUPPORTED = "bedrock_unsupported"
    BUDGET_SPENT = "budget_spent"
    REJECTED = "rejected"
    STREAM_BROKEN = "stream_broken"
    CLIENT_GONE = "client_gone"


class Effect(Enum):
    """What a fault does to the circuit it happened on."""

    NONE = "none"  # the upstream is fine; the circuit does not hear of it, a probe is released
    SUCCESS = "success"  # the upstream is fine and answered
    FAILURE = "failure"  # one more in a row
    OPENS = "opens"  # at once: for a known time if the error carries one, else for the usual backoff


@dataclass(frozen=True, slots=True)
class Policy:
    """One row. `status` and `error_type` are what the client gets when we have to make the answer ourselves."""

    falls_back: bool
    effect: Effect
    status: int
    error_type: str


POLICY: Mapping[Fault, Policy] = MappingProxyType(
    {
        Fault.PLAN_EXHAUSTED: Policy(True, Effect.OPENS, 429, "rate_limit_error"),
        Fault.PLAN_THROTTLED: Policy(True, Effect.FAILURE, 429, "rate_limit_error"),
        Fault.PLAN_ENTITLEMENT: Policy(True, Effect.NONE, 429, "rate_limit_error"),
        Fault.PLAN_OVERLOADED: Policy(True, Effect.FAILURE, 529, "overloaded_error"),
        Fault.PLAN_ERROR: Policy(True, Effect.FAILURE, 529, "overloaded_error"),
        Fault.PLAN_UNREACHABLE: Policy(True, Effect.FAILURE, 529, "overloaded_error"),
        Fault.PLAN_TIMEOUT: Policy(True, Effect.OPENS, 504, "timeout_error"),
        Fault.PLAN_AUTH: Policy(False, Effect.NONE, 401, "authentication_error"),
        Fault.BEDROCK_THROTTLED: Policy(True, Effect.FAILURE, 429, "rate_limit_error"),
        Fault.BEDROCK_QUOTA: Policy(True, Effect.OPENS, 429, "rate_limit_error"),
        Fault.BEDROCK_OVERLOADED: Policy(True, Effect.FAILURE, 529, "overloaded_error"),
        Fault.BEDROCK_ERROR: Policy(True, Effect.FAILURE, 500, "api_error"),
        Fault.BEDROCK_UNREACHABLE: Policy(True, Effect.FAILURE, 529, "overloaded_error"),
        Fault.BEDROCK_TIMEOUT: Policy(False, Effect.OPENS, 504, "timeout_error"),
        Fault.BEDROCK_AUTH: Policy(True, Effect.NONE, 529, "overloaded_error"),
        Fault.BEDROCK_DENIED: Policy(True, Effect.OPENS, 529, "overloaded_error"),
        Fault.BEDROCK_UNSUPPORTED: Policy(True, Effect.NONE, 400, "invalid_request_error"),
        Fault.BUDGET_SPENT: Policy(True, Effect.NONE, 402, "billing_error"),
        Fault.REJECTED: Policy(False, Effect.NONE, 400, "invalid_request_error"),
        Fault.STREAM_BROKEN: Policy(False, Effect.FAILURE, 529, "overloaded_error"),
        Fault.CLIENT_GONE: Policy(False, Effect.NONE, 499, "client_gone"),
    }
)


class UpstreamError(Exception):
    """An upstream did not serve, and nothing has reached the client.

    `answer` is the upstream's own answer, whole, when it gave one: it may still be passed on untouched.
    `open_until` (unix seconds) is a reset the upstream announced; `whole_account` says that it holds for every model
    family of the key. `wire` (status, error type) replaces the table's when the client has to learn more of an answer
    that we must make; `detail` is then its message. `notes` are what was tried, for the trace.
    """

    def __init__(
        self,
        fault: Fault,
        detail: str = "",
        *,
        answer: Reply | None = None,
        open_until: float | None = None,
        whole_account: bool = False,
        wire: tuple[int, str] | None = None,
    ) -> None:
        super().__init__(detail or fault.value)
        self.fault = fault
        self.detail = detail
        self.answer = answer
        self.open_until = open_until
        self.whole_account = whole_account
        self.wire = wire
        self.notes: tuple[str, ...] = ()

    @property
    def policy(self) -> Policy:
        return POLICY[self.fault]


class NotAsked(UpstreamError):
    """Every way to this upstream is closed by a circuit, so it was not asked and may be insisted upon."""
