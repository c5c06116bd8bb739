"""What the client is told when Bedrock does not answer: one row for each kind of refusal.

Pure. Sources: facts on Bedrock section 6. Invariant: Bedrock's 401 and 403 never become a client's 401 or 403 (Claude Code
would drop its login), and what may name an AWS account is never shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from proxy_app.faults import Fault


class Kind(StrEnum):
    """Why Bedrock did not answer. A closed set; the value is what notes and logs say."""

    THROTTLED = "throttled"
    QUOTA_DAY = "quota_day"
    OVERLOADED = "overloaded"
    INTERNAL = "internal"
    TIMEOUT = "timeout"
    AUTH = "auth"
    NOT_ENTITLED = "not_entitled"
    INVALID_IDENTIFIER = "invalid_identifier"
    ON_DEMAND = "on_demand"
    USE_CASE_FORM = "use_case_form"
    DATA_RETENTION = "data_retention"
    TOO_LONG = "too_long"
    TOO_LARGE = "too_large"
    THINKING = "thinking"
    BETA_OR_FIELD = "beta_or_field"
    VALIDATION = "validation"


@dataclass(frozen=True, slots=True)
class Answer:
    """A row of what the client gets. `message` replaces Bedrock's text where that must not be shown."""

    status: int
    error_type: str
    fault: Fault
    headers: tuple[tuple[str, str], ...] = ()
    message: str = ""


_FINAL = (("x-should-retry", "false"),)  # asking again cannot help: Claude Code stops after one try
_SOON = (("retry-after", "5"), ("x-should-retry", "true"))  # without the headers of a plan it reads as a passing throttle
_ADMIN = "Ask your administrator to check the Bedrock key of this access key."
_SAYS = "claude-code-proxy: Amazon Bedrock"
ANSWERS: Mapping[Kind, Answer] = MappingProxyType(
    {
        Kind.THROTTLED: Answer(429, "rate_limit_error", Fault.BEDROCK_THROTTLED, _SOON),
        Kind.QUOTA_DAY: Answer(429, "rate_limit_error", Fault.BEDROCK_QUOTA, _FINAL),
        Kind.OVERLOADED: Answer(529, "overloaded_error", Fault.BEDROCK_OVERLOADED),
        Kind.INTERNAL: Answer(500, "api_error", Fault.BEDROCK_ERROR),
        Kind.TIMEOUT: Answer(504, "timeout_error", Fault.BEDROCK_TIMEOUT),
        Kind.AUTH: Answer(529, "overloaded_error", Fault.BEDROCK_AUTH, _FINAL, f"{_SAYS} refused its key. {_ADMIN}"),
        Kind.NOT_ENTITLED: Answer(529, "overloaded_error", Fault.BEDROCK_DENIED, _FINAL, f"{_SAYS} denied this model. {_ADMIN}"),
        Kind.INVALID_IDENTIFIER: Answer(404, "not_found_error", Fault.BEDROCK_UNSUPPORTED, _FINAL),
        Kind.ON_DEMAND: Answer(404, "not_found_error", Fault.BEDROCK_UNSUPPORTED, _FINAL),
        Kind.USE_CASE_FORM: Answer(400, "invalid_request_error", Fault.BEDROCK_DENIED, _FINAL),
        Kind.DATA_RETENTION: Answer(400, "invalid_request_error", Fault.BEDROCK_DENIED, _FINAL),
        Kind.TOO_LONG: Answer(400, "invalid_request_error", Fault.REJECTED),
        Kind.TOO_LARGE: Answer(413, "request_too_large", Fault.BEDROCK_UNSUPPORTED, _FINAL),
        Kind.THINKING: Answer(400, "invalid_request_error", Fault.BEDROCK_UNSUPPORTED),
        Kind.BETA_OR_FIELD: Answer(400, "invalid_request_error", Fault.BEDROCK_UNSUPPORTED),
        Kind.VALIDATION: Answer(400, "invalid_request_error", Fault.BEDROCK_UNSUPPORTED),
    }
)


def fault_of(kind: Kind) -> Fault:
    """The routing fault that a kind counts as (SPEC section 4)."""
    return ANSWERS[kind].fault


def client_words(kind: Kind, detail: str) -> str:
    """Bedrock's own text, since Claude Code's recovery keys on it, or a plain one where there was none."""
    if kind is Kind.TOO_LONG and not re.search(r"exceed context limit", detail):
        # Claude Code compacts on this wording.
        found = re.search(r"prompt is too long.*", detail, re.DOTALL)
        return found[0] if found else f"prompt is too long: {detail or 'the model refused its length'}"
    return _ACCOUNT.sub("...", detail) or _SILENT.get(kind, "Amazon Bedrock refused the request without saying why.")


_ACCOUNT = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")  # AWS writes it into the names of its resources
_SILENT: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.THROTTLED: "Too many requests, please wait before trying again.",
        Kind.OVERLOADED: "Overloaded",
        Kind.INTERNAL: "Internal server error",
        Kind.TIMEOUT: "Request timed out",
    }
)
